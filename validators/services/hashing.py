"""Passwords are hashed in few threads of low priority, and only a bounded number waits for them.

One hash takes some 0.4 s of processor by design. In the threads that serve requests, thirty logins at once
held every other answer for seconds.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from dtvn.api.errors import ServiceError

HASHED_AT_ONCE = 1 if (os.cpu_count() or 1) <= 2 else 2
WAITING_MAX = 12
"""Most hashes that wait: some 5 s, which a person still waits for."""
NICENESS = 10
"""Niceness of the hashing threads, so that requests and validators on this machine come first."""

Given = ParamSpec("Given")
Made = TypeVar("Made")


class HashingBusy(ServiceError):
    """Too many passwords wait to be hashed; nothing was done."""

    code, status = "logins_busy", 503

    def __init__(self) -> None:
        super().__init__("Too many logins at once. Try again in a moment.")
        self.headers["Retry-After"] = "5"


_address: ContextVar[str] = ContextVar("address", default="")


@contextmanager
def counted_for(address: str) -> Iterator[None]:
    """Passwords hashed in the block take places of this client address."""
    before = _address.set(address)
    try:
        yield
    finally:
        _address.reset(before)


class HashingPool:
    """A bounded executor, made at its first use: a forked child makes its own. When it is full, the address
    with most places gives one up for an address with fewer; one address, as of a venue, may have all."""

    def __init__(self, at_once: int, waiting_max: int) -> None:
        self._at_once = at_once
        self._places_max = at_once + waiting_max
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._places: dict[Future[Any], str] = {}
        """Address of each hash that is computed or waits, oldest first."""

    def run(self, hash_one: Callable[Given, Made], *args: Given.args, **named: Given.kwargs) -> Made:
        """The result of `hash_one`, run in a thread of the pool; raises HashingBusy if it is full, or becomes
        so before the thread is free."""
        address = _address.get()
        with self._lock:
            if len(self._places) >= self._places_max:
                self._make_room(address)
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._at_once, "hashing", initializer=_be_nice)
            future = self._executor.submit(hash_one, *args, **named)
            self._places[future] = address
        try:
            return future.result()
        except CancelledError:
            raise HashingBusy from None
        finally:
            with self._lock:
                self._places.pop(future, None)

    def end(self) -> None:
        """Before the process ends, which waits for all threads: those that wait for a hash give up."""
        with self._lock:
            self._places_max = 0
            for future in self._places:
                future.cancel()

    def _make_room(self, address: str) -> None:
        held = Counter(self._places.values())
        most = max(held.values(), default=0)
        if held[address] + 1 < most:
            for future, other in reversed(self._places.items()):
                if held[other] == most and future.cancel():
                    del self._places[future]
                    return
        raise HashingBusy


def _be_nice() -> None:
    if hasattr(os, "setpriority"):
        # On Linux the id of a thread is accepted, and the priority is the thread's own.
        os.setpriority(
            os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
        )


pool = HashingPool(HASHED_AT_ONCE, WAITING_MAX)


class PooledPasswordHasher(PBKDF2PasswordHasher):
    """Django's default hasher, with the same stored form, in the pool. Raises HashingBusy."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """See PBKDF2PasswordHasher."""
        return pool.run(super().encode, password, salt, iterations)


def _forked() -> None:
    global pool
    pool = HashingPool(HASHED_AT_ONCE, WAITING_MAX)


os.register_at_fork(after_in_child=_forked)
