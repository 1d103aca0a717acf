"""Follows the applied sequence of the learner's rows without polling.

One thread per process listens to the learner's announcements. Views wait on it (`wait_for`, R17), and it
wakes the relay. An announcement may be lost (a subscription takes a moment, a learner may restart), so a
waiter also reads the rows themselves at its start and every `REREAD` seconds.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import zmq

from validators.web.lane import step_aside

REREAD = 0.1
"""Seconds without an announcement after which a waiter reads the applied sequence from the rows."""


class ProgressListener:
    """Follows the announcements at `address`; `read_applied` returns the applied sequence of the rows."""

    def __init__(self, address: str, read_applied: Callable[[], int]) -> None:
        self._read_applied = read_applied
        self._changed = threading.Condition()
        self._applied = 0
        self._callbacks: set[Callable[[], object]] = set()
        self._context = zmq.Context()
        self._stop_address = f"inproc://stop-{id(self)}"
        self._stopper = self._context.socket(zmq.PAIR)
        self._stopper.bind(self._stop_address)
        self._thread = threading.Thread(
            target=self._listen, args=(address,), name="feed-progress", daemon=True
        )
        self._thread.start()

    @property
    def applied(self) -> int:
        """The newest announced sequence; 0 before the first announcement."""
        return self._applied

    def wait_for(self, sequence: int, timeout: float) -> int:
        """Block until rows up to `sequence` can be read, at most `timeout` seconds; returns the applied
        sequence, which may be lower."""
        deadline = time.monotonic() + timeout
        if self._applied < max(sequence, 1):  # without an announcement yet, the rows may hold anything
            self._look()
        if self._applied < sequence:
            step_aside()
        while self._applied < sequence:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            with self._changed:
                announced = self._changed.wait_for(lambda: self._applied >= sequence, min(remaining, REREAD))
            if not announced:
                self._look()
        return self._applied

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call `callback` in the listener's thread at each announcement; returns a function that ends the
        subscription."""
        with self._changed:
            self._callbacks.add(callback)
        return lambda: self._callbacks.discard(callback)

    def close(self) -> None:
        """End the thread."""
        self._stopper.send(b"")
        self._thread.join()
        self._stopper.close(linger=0)
        self._context.term()

    def _look(self) -> None:
        applied = self._read_applied()
        with self._changed:
            if applied > self._applied:
                self._applied = applied
                self._changed.notify_all()

    def _listen(self, address: str) -> None:
        announcements = self._context.socket(zmq.SUB)
        announcements.setsockopt(zmq.CONFLATE, 1)  # only the newest one matters
        announcements.setsockopt(zmq.RECONNECT_IVL, 50)
        announcements.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        announcements.subscribe(b"")
        announcements.connect(address)
        stop = self._context.socket(zmq.PAIR)
        stop.connect(self._stop_address)
        poller = zmq.Poller()
        poller.register(announcements, zmq.POLLIN)
        poller.register(stop, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if stop in ready:
                break
            self._announced(int.from_bytes(announcements.recv(), "big"))
        announcements.close(linger=0)
        stop.close(linger=0)

    def _announced(self, sequence: int) -> None:
        with self._changed:
            self._applied = sequence  # may decrease: a rebuilt learner starts from the beginning
            self._changed.notify_all()
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            callback()


_listener: ProgressListener | None = None
_listener_pid = 0
_listener_lock = threading.Lock()


def process_listener() -> ProgressListener:
    """This process's listener to the platform's own learner; created at first use (after a fork)."""
    global _listener, _listener_pid
    with _listener_lock:
        if _listener is None or _listener_pid != os.getpid():
            from django.conf import settings

            from dtvn.node.feed_address import feed_address
            from validators.feed.rows import read_applied

            _listener = ProgressListener(feed_address(settings.DATA), read_applied)
            _listener_pid = os.getpid()
        return _listener


def wait_for(sequence: int, timeout: float) -> int:
    """Wait until the platform's rows show `sequence` (R17); see ProgressListener.wait_for.

    Blocks its thread: call it from synchronous views and commands.
    """
    return process_listener().wait_for(sequence, timeout)
