"""Was every successful operation still valid, and allowed to its principal? (R14, R15)

Reads the agreed log and genesis, and nothing of the machine that executed the operation.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record
from dtvn.protocol.consensus.membership import RECOVERY
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.node import Node
from simulator.world import World

FREE = frozenset({"open_session", "barrier"})
"""Kinds that need no capability."""


class Validity(Checker):
    """An outcome `ok` in the log that is the first of its nonce must have been due."""

    name = "validity"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._unread = Unread(history)
        self._may = {p.name for p in world.genesis.principals if p.grants}
        self._nonces: set[tuple[str, str, bytes]] = set()

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for sequence, bundle, operation, outcome in self._unread.operations():
            if outcome.code == "ok":
                self._due(sequence, bundle.principal, operation)

    def _due(self, sequence: int, principal: str, operation: m.Operation) -> None:
        if operation.nonce:
            key = (principal, operation.actor, operation.nonce)
            if key in self._nonces:
                return  # repeats the first outcome
            self._nonces.add(key)
        if principal == RECOVERY:
            if sequence not in self.world.recoveries:
                self.fail(f"the members never agreed on the end of their epoch at {sequence} (R11)")
            return
        timestamp = self._history.timestamps[sequence]
        if operation.valid_until < timestamp:
            self.fail(
                f"{operation.kind} at {sequence} was executed {timestamp - operation.valid_until} us late"
            )
        if operation.kind not in FREE and principal not in self._may:
            self.fail(f"{principal} may do nothing, but its {operation.kind} at {sequence} is ok")
