"""Do locks go to the waiters in order, when a lease ends or is given back? (P9, R3)"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.machine.commands import check
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.checkers.lock_model import LockModel
from simulator.node import Node
from simulator.world import World


class LockOrder(Checker):
    """Follows each lock and its queue (lock_model), batch by batch, those without requests included."""

    name = "lock-order"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._unread = Unread(history)
        self._sequence = 0
        self._locks = LockModel()
        self.refused = 0

    @property
    def granted(self) -> int:
        """Leases of locks that were free."""
        return self._locks.granted

    @property
    def handed_on(self) -> int:
        """Leases of waiters."""
        return self._locks.handed_on

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
                self._locks.pass_time(now)

    def _apply(self, sequence: int, principal: str, operation: m.Operation, outcome: m.Outcome) -> None:
        command = check(operation)
        key = operation.event, str(getattr(command, "name", ""))
        owner = principal, getattr(command, "holder", b"")
        expected = self._locks.ask(key, owner, command, self._history.timestamps[sequence])
        if outcome.code != expected:
            self.fail(f"{key[1]} at {sequence}: {operation.kind} is {outcome.code}, not {expected}")
        self.refused += outcome.code != "ok"
        if outcome.state:
            wrong = self._locks.wrong(key, canonical.decode(LockRow, outcome.state))
            if wrong is not None:
                self.fail(f"{key[1]} at {sequence}: {wrong}")
