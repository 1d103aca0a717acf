"""Does a cluster become one that tolerates no liar only by a change that says so? (R37)

Reads the agreed log: the change, and the members of the epoch that it begins.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.machine import Command, Reconfigure
from dtvn.machine.commands import read
from dtvn.protocol import quorum
from dtvn.protocol.consensus.effects import Record
from dtvn.protocol.consensus.membership import KIND
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.node import Node
from simulator.world import World


class FaultToleranceKept(Checker):
    """A membership that tolerates no liar any more was explicitly allowed by an authorised principal."""

    name = "fault-tolerance-kept"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history
        self._unread = Unread(history)

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for sequence, _bundle, operation, outcome in self._unread.operations():
            if operation.kind == KIND and outcome.code == "ok":
                self._begun(sequence, read(operation.kind, operation.payload))

    def _begun(self, sequence: int, command: Command) -> None:
        epochs = self._history.epochs
        following = next((epoch for epoch in epochs if epoch.after == sequence and epoch.epoch), None)
        if following is None or not isinstance(command, Reconfigure):
            return  # repeats the first outcome of a nonce
        before, after = (len(epochs[epoch].members) for epoch in (following.epoch - 1, following.epoch))
        mode = following.mode
        liars, left = quorum.faults(before, mode), quorum.faults(after, mode)
        if liars and not left and not command.change.allow_small:
            self.fail(
                f"the change at {sequence} leaves {after} of {before} members, which nobody meant (R37)"
            )
