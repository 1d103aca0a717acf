"""Queues of locks and ticks: in order, never two holders, in time (P9, R3, R30)."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import replaces
from simulator.seams import Locks, Ordering, Proposing, Reason, Suspicion, Waiters


@replaces(Waiters, "take", "expiry-not-handed-on", "P9", world="lock-queues")
def not_handed_on(*_arguments: Any) -> None:
    """A lock that is given back, or whose lease ends, is free, even if a client waits."""


@replaces(Waiters, "take", "waiter-skipped", "P9", world="lock-queues")
def skips(right: Any, self: Waiters, lock: Any) -> Any:
    """The second in the queue gets the lock before the first."""
    queue = self._queues.get(lock, {})
    if len(queue) > 1:
        first = next(iter(queue))
        queue[first] = queue.pop(first)
    return right(self, lock)


@replaces(Locks, "_hand_on", "token-not-raised", "P9", world="lock-queues")
def keeps_token(right: Any, self: Locks, key: Any, _token: int, timestamp: int) -> None:
    """The next holder gets the token of the last one."""
    right(self, key, self._rows[key].token, timestamp)


def present(self: Locks, key: Any, holder: Any, token: Any) -> Any:
    """The present token if the lock is this holder's, else the one that it named."""
    held = self.row(key)
    return held.token if held is not None and (held.principal, held.holder) == holder else token


@replaces(Locks, "renew", "renewed-with-any-token", "P9", world="lock-queues")
def any_token_renews(right: Any, self: Locks, key: Any, holder: Any, *, token: int, **more: int) -> Any:
    """The holder's earlier token extends its present lease."""
    return right(self, key, holder, token=present(self, key, holder, token), **more)


@replaces(Locks, "unlock", "given-back-with-any-token", "P9", world="lock-queues", seed=1)
def any_token_unlocks(right: Any, self: Locks, key: Any, holder: Any, **more: Any) -> Any:
    """The holder's earlier token ends its present lease."""
    token = present(self, key, holder, more.pop("token", None))
    return right(self, key, holder, token=token, **more)


@replaces(Waiters, "begin", "waiter-without-deadline", "R3", world="lock-queues")
def waits_on(*_arguments: Any) -> None:
    """A waiter keeps its place after its deadline."""


@replaces(Waiters, "leave", "cancelled-waiter-served", "P9", world="lock-queues")
def stays(*_arguments: Any) -> None:
    """A cancelled wait goes on."""


@replaces(Proposing, "tick_at", "tick-never-ordered", "R30", world="lock-queues")
def never_ticks(*_arguments: Any) -> None:
    """An idle primary orders nothing, even if a lease has ended."""


@replaces(Suspicion, "_note_tick", "missing-tick-unnoticed", "R30", world="tickless-primary")
def unnoticed(*_arguments: Any) -> None:
    """Backups do not notice that their primary never hands a lock on."""


@replaces(Ordering, "_refuse_tick", "tick-refused", "R30", world="lock-queues")
def refuses_ticks(*_arguments: Any) -> Any:
    """Backups refuse every batch without requests."""
    return Reason.BAD_BATCH
