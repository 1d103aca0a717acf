"""Does each learner follow the log that the members agreed on, without an alarm? (R28)"""

from __future__ import annotations

from dtvn.protocol.consensus.effects import Executed, Note
from simulator.checkers.base import Checker
from simulator.node import Node


class Learners(Checker):
    """Agreement compares the entries of learners; this checker requires that they catch up, without alarm."""

    name = "learner"
    of_all = True
    notes = frozenset({"alarm"})

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if node.honest and node.index is None and isinstance(note, Note) and note.kind == "alarm":
            self.fail(f"{node.name}: {note.fields}")

    def finish(self) -> None:
        """See Checker."""
        ends = {node.name: len(node.disk.log) for node in self.world.honest_members() if node.up}
        for node in self.world.learners():
            if node.up and len(node.disk.log) < max(ends.values()):
                self.fail(f"{node.name} ends at {len(node.disk.log)}, members at {ends}")
