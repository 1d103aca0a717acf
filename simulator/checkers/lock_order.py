"""Do locks go to the waiters in order, when a lease ends or is given back? (P9, R3)

A sequential model of locks and queues, plainer than the machine's: lists, walked at every batch, those
without requests included. Of the machine it reads only the form of a lock.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.machine import CancelLock, Command, Lock, Renew, Unlock
from dtvn.machine.commands import check
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.node import Node
from simulator.world import World

Key = tuple[str, str]
"""(event, name)."""
Owner = tuple[str, bytes]


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


class LockOrder(Checker):
    """Follows each lock and its queue, batch by batch."""

    name = "lock-order"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._unread = Unread(history)
        self._sequence = 0
        self._held: dict[Key, Lease] = {}
        self._queues: dict[Key, list[Wait]] = {}
        self._last: dict[Key, int] = {}
        """Highest token that was seen of each lock."""
        self.granted = self.handed_on = self.refused = 0

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for sequence, bundle, operation, outcome in self._unread.operations():
            if operation.kind not in ("lock", "renew", "unlock", "cancel_lock"):
                continue
            self._advance(sequence)
            if outcome.code not in ("expired", "busy", "not_permitted"):
                self._apply(sequence, bundle.principal, operation, outcome)

    def _advance(self, sequence: int) -> None:
        """Let time pass up to the batch at `sequence`."""
        while self._sequence < sequence:
            self._sequence += 1
            now = self._history.timestamps.get(self._sequence)
            if now is not None:  # a null request does not move the time
                self._pass(now)

    def _pass(self, now: int) -> None:
        for key, queue in self._queues.items():
            self._queues[key] = [wait for wait in queue if wait.until >= now]
        for key, lease in list(self._held.items()):
            if lease.ends < now:
                self._hand_on(key, now)

    def _hand_on(self, key: Key, now: int) -> None:
        before = self._held.pop(key)
        queue = self._queues.get(key, [])
        if queue:
            following = queue.pop(0)
            above = max(before.token, before.above)
            self._held[key] = Lease(following.owner, now + following.lease, 0, above)
            self.handed_on += 1

    def _apply(self, sequence: int, principal: str, operation: m.Operation, outcome: m.Outcome) -> None:
        command = check(operation)
        now = self._history.timestamps[sequence]
        key = operation.event, str(getattr(command, "name", ""))
        expected = self._expected(key, (principal, getattr(command, "holder", b"")), command, now)
        if outcome.code != expected:
            self.fail(f"{key[1]} at {sequence}: {operation.kind} is {outcome.code}, not {expected}")
        self.refused += outcome.code != "ok"
        if outcome.state:
            self._check_shown(sequence, key, canonical.decode(LockRow, outcome.state))

    def _expected(self, key: Key, owner: Owner, command: Command, now: int) -> str:
        held = self._held.get(key)
        match command:
            case Lock(lease=lease, wait=wait):
                return self._lock(key, owner, lease, wait, now)
            case Renew(token=token, lease=lease):
                if held is None or held.owner != owner or self._token(held, token) != token:
                    return "stale_lock_token"
                held.ends = now + lease
            case Unlock(token=token):
                if held is None:
                    return "ok"
                if held.owner != owner or self._token(held, token) != token:
                    return "stale_lock_token"
                self._hand_on(key, now)
            case CancelLock():
                queue = self._queues.get(key, [])
                self._queues[key] = [wait for wait in queue if wait.owner != owner]
                if held is not None and held.owner == owner:
                    self._hand_on(key, now)
        return "ok"

    def _lock(self, key: Key, owner: Owner, lease: int, wait: int, now: int) -> str:
        held = self._held.get(key)
        if held is None:
            self._held[key] = Lease(owner, now + lease, 0, self._last.get(key, 0))
            self.granted += 1
        elif held.owner == owner:
            held.ends = now + lease
        elif not wait:
            return "lock_held"
        else:
            queue = self._queues.setdefault(key, [])
            own = next((each for each in queue if each.owner == owner), None)
            if own is None:
                queue.append(Wait(owner, lease, now + wait))
            else:
                own.lease, own.until = lease, now + wait
            return "lock_waiting"
        return "ok"

    @staticmethod
    def _token(held: Lease, given: int) -> int:
        """The lease's token; a client cannot name one that it was not shown."""
        return held.token or (given if given > held.above else 0)

    def _check_shown(self, sequence: int, key: Key, row: LockRow) -> None:
        held = self._held.get(key)
        if held is None or (row.principal, row.holder) != held.owner or row.ends != held.ends:
            self.fail(f"{key[1]} at {sequence}: shown is {row}, but its holder is {held}")
        if held.token == 0 and row.token <= held.above:
            self.fail(f"{key[1]} at {sequence}: token {row.token} after {held.above}")
        if held.token not in (0, row.token):
            self.fail(f"{key[1]} at {sequence}: token {row.token} of a lease with {held.token}")
        held.token = row.token
        self._last[key] = row.token
