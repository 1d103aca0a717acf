"""Does a flood of openings of sessions harm its own principal alone? (P15, R30)

Only for worlds without another fault: then no primary has given cause for a suspicion.
"""

from __future__ import annotations

from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.consensus.messages import UNOPENED
from simulator.checkers.base import Checker
from simulator.clock import SECOND
from simulator.node import Node
from simulator.observers import EXECUTED
from simulator.seams import peer_limits
from simulator.world import World

FLOODING = "rogue"
"""The principal of the flooding client."""


class OpeningFloodBorne(Checker):
    """No member suspects the primary, and no more openings are executed than all links together may bring."""

    name = "opening-flood-borne"
    notes = frozenset({EXECUTED, "suspected"})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._opened: dict[str, int] = {}
        """Node -> executed openings of the flooding principal."""

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if not node.honest or node.index is None:
            return
        if isinstance(note, Note):
            self.fail(f"{node.name} suspects the primary beside a flood of openings: {note.fields} (R30)")
        opened = sum(
            bundle.principal == FLOODING and bundle.session == UNOPENED
            for bundle, _first, _outcomes in note.bundles
        )
        self._opened[node.name] = self._opened.get(node.name, 0) + opened
        of_a_link = peer_limits.OPENINGS_BURST + peer_limits.OPENINGS_PER_SECOND * (
            self.world.time // SECOND + 1
        )
        if self._opened[node.name] > self.world.members * of_a_link:
            self.fail(f"{node.name} executed {self._opened[node.name]} openings of a flood (P15)")
