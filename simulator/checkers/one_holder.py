"""Has every lock at most one holder at a time, and do tokens only rise? (P9, R3)

Reads the agreed log with its times, and of the machine only the form of a lock.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.machine import Acquire, Release
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


class OneHolder(Checker):
    """Follows each lock from lease to lease."""

    name = "one-holder"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._unread = Unread(history)
        self.leases = 0
        self.refused = 0
        self._held: dict[Key, LockRow] = {}
        self._highest = 0

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for sequence, bundle, operation, outcome in self._unread.operations():
            if operation.kind in ("acquire", "release"):
                command = check(operation)
                if isinstance(command, Acquire | Release) and outcome.code in ("ok", "lock_held"):
                    self._answered(sequence, (operation.event, command.name), bundle, command, outcome)

    def _answered(
        self, sequence: int, key: Key, bundle: m.Bundle, command: Acquire | Release, outcome: m.Outcome
    ) -> None:
        now = self._history.timestamps[sequence]
        held = self._held.get(key)
        if held is not None and held.ends < now:
            held = None
        own = held is not None and (held.principal, held.holder) == (bundle.principal, command.holder)
        if (outcome.code == "ok") is not (held is None or own):
            self.fail(f"{key[1]} at {sequence}: {outcome.code}, but its holder was {held}")
        if outcome.code != "ok":
            self.refused += 1
        elif isinstance(command, Release):
            self._held.pop(key, None)
        else:
            row = self._held[key] = canonical.decode(LockRow, outcome.state)
            right = row.token > self._highest if held is None else row.token == held.token
            if not right:
                self.fail(f"{key[1]} at {sequence}: token {row.token} after {self._highest}")
            if row.ends != now + command.lease:
                self.fail(f"{key[1]} at {sequence}: a lease until {row.ends}")
            self._highest = max(self._highest, row.token)
            self.leases += 1
