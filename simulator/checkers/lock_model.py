"""The sequential model of locks and their queues (P9, R3), plainer than the machine's: lists, walked at every
batch. Of the machine it reads the forms of commands and of a lock alone."""

from __future__ import annotations

import msgspec

from dtvn.machine import Acquire, CancelLock, Command, Lock, Release, Renew, Unlock
from dtvn.machine.rows import LockRow

Key = tuple[str, str]
"""(event, name)."""
Owner = tuple[str, bytes]
"""(principal, holder)."""


class Lease(msgspec.Struct):
    """Who holds a lock until when."""

    owner: Owner
    ends: int
    token: int
    """0 until an outcome shows it."""
    above: int
    """Its token must be higher."""


class Wait(msgspec.Struct):
    """One place in a queue."""

    owner: Owner
    lease: int
    until: int


class LockModel:
    """All locks and queues."""

    def __init__(self) -> None:
        self.held: dict[Key, Lease] = {}
        self.queues: dict[Key, list[Wait]] = {}
        self._last: dict[Key, int] = {}
        """Highest token that was seen of each lock."""
        self.granted = self.handed_on = 0

    def pass_time(self, now: int) -> None:
        """A batch begins at this time of the log."""
        waiting = {key: [wait for wait in queue if wait.until >= now] for key, queue in self.queues.items()}
        self.queues = {key: queue for key, queue in waiting.items() if queue}
        for key, lease in list(self.held.items()):
            if lease.ends < now:
                self._hand_on(key, now)

    def ask(self, key: Key, owner: Owner, command: Command, now: int) -> str:
        """The code that this command is answered."""
        held = self.held.get(key)
        match command:
            case Lock(lease=lease, wait=wait):
                return self._lock(key, owner, lease, wait, now)
            case Acquire(lease=lease):
                return self._lock(key, owner, lease, 0, now)
            case Renew(token=token, lease=lease):
                if held is None or held.owner != owner or _token(held, token) != token:
                    return "stale_lock_token"
                held.ends = now + lease
            case Unlock() | Release():
                if held is None:
                    return "ok"
                if isinstance(command, Unlock) and _token(held, command.token) != command.token:
                    return "stale_lock_token"
                if held.owner != owner:
                    return "lock_held"
                self._hand_on(key, now)
            case CancelLock():
                queue = self.queues.get(key, [])
                self.queues[key] = [wait for wait in queue if wait.owner != owner]
                if held is not None and held.owner == owner:
                    self._hand_on(key, now)
        return "ok"

    def wrong(self, key: Key, row: LockRow) -> str | None:
        """What is wrong with a lock that an outcome shows; None: nothing, and its token is known now."""
        held = self.held.get(key)
        if held is None or (row.principal, row.holder) != held.owner or row.ends != held.ends:
            return f"shown is {row}, but its holder is {held}"
        if held.token == 0 and row.token <= held.above:
            return f"token {row.token} after {held.above}"
        if held.token not in (0, row.token):
            return f"token {row.token} of a lease with {held.token}"
        held.token = self._last[key] = row.token
        return None

    def _lock(self, key: Key, owner: Owner, lease: int, wait: int, now: int) -> str:
        held = self.held.get(key)
        if held is None:
            self.held[key] = Lease(owner, now + lease, 0, self._last.get(key, 0))
            self.granted += 1
        elif held.owner == owner:
            held.ends = now + lease
        elif not wait:
            return "lock_held"
        else:
            queue = self.queues.setdefault(key, [])
            own = next((each for each in queue if each.owner == owner), None)
            if own is None:
                queue.append(Wait(owner, lease, now + wait))
            else:
                own.lease, own.until = lease, now + wait
            return "lock_waiting"
        return "ok"

    def _hand_on(self, key: Key, now: int) -> None:
        before = self.held.pop(key)
        queue = self.queues.get(key, [])
        if queue:
            following = queue.pop(0)
            above = max(before.token, before.above)
            self.held[key] = Lease(following.owner, now + following.lease, 0, above)
            self.handed_on += 1


def _token(held: Lease, given: int) -> int:
    """The lease's token; a client cannot name one that it was not shown."""
    return held.token or (given if given > held.above else 0)
