"""Does a client that got an outcome read it afterwards, on the platform and at a node? (R17)

After an answer the ticket is read as a platform reads it: where a learner's rows have come as far as the
gateway requires. In worlds with `node_reads` a member's own API is read too, which first applies the member's
log to its rows.
"""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus.effects import Executed, Note
from simulator.checkers.base import Checker
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.observers import EXECUTED
from simulator.readers import ticket_shown
from simulator.world import World

RARER = 8
"""At first one of this many answers is read, later fewer."""


class Read(msgspec.Struct, frozen=True):
    """A read that waits for a learner's rows."""

    needs: int
    """Sequence that the rows must have reached, as the gateway requires."""
    event: str
    ticket: str
    changed_at: int
    """Sequence of the state that was acknowledged."""


class ReadYourWrites(Checker):
    """Reads the tickets whose outcomes were reported last."""

    name = "read-your-writes"
    notes = frozenset({EXECUTED})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.seen = 0
        """Reads on the platform that showed the change."""
        self.seen_at_nodes = 0
        """Reads at nodes that showed the change."""
        self._answers = 0
        self._next = 1
        self._waiting: Read | None = None

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See Checker."""
        self._answers += 1
        if self._answers < self._next:
            return
        changes = request.changes()
        if not changes:
            return
        self._next = self._answers + RARER + self._answers // RARER
        event, ticket, sequence = changes[-1]
        self._waiting = Read(gateway.collector.acknowledged, event, ticket, sequence)
        self._look()
        if self.world.settings.node_reads:
            self._read_at_nodes(event, ticket, sequence)

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if self._waiting is not None and node.index is None:
            self._look()

    def _look(self) -> None:
        """Read if a learner's rows have come far enough; else go on waiting."""
        read = self._waiting
        if read is None:
            return
        for node in self.world.learners():
            if node.up and node.disk.applied >= read.needs:
                self._waiting = None
                self._expect(node, read.event, read.ticket, read.changed_at)
                self.seen += 1
                return

    def _read_at_nodes(self, event: str, ticket: str, sequence: int) -> None:
        for node in self.world.honest_members():
            if node.serves_reads and node.host is not None and node.host.executed >= sequence:
                node.bring_rows_up()
                self._expect(node, event, ticket, sequence)
                self.seen_at_nodes += 1

    def _expect(self, node: Node, event: str, ticket: str, sequence: int) -> None:
        shown = ticket_shown(node.disk, event, ticket)
        if shown < sequence:
            self.fail(
                f"{node.name} shows {ticket} as of {shown}, but its state of {sequence} was acknowledged"
            )
