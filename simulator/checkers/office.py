"""Does a primary that proposes just before patience ends lose its office? (R32; row 21)"""

from __future__ import annotations

from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.onlooker import EXECUTED
from simulator.world import World
from validators import quorum
from validators.consensus.effects import Executed, Note

__all__ = ["Office"]

MICROSECOND = 1_000
ENDURED_MAX = 60
"""Sequences executed under it in its first view: several times what a judgement needs."""


class Office(Checker):
    """Asks only where the case is clear: one liar, a sluggard, and honest members whose T is the usual one
    and that are not crowded. A second deposition may have to wait for 30 s, so only its first view counts.
    """

    name = "office"
    notes = frozenset({EXECUTED})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._timeout = world.settings.parameters.view_timeout * MICROSECOND
        self._view = -1
        self._executed = 0

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if not isinstance(note, Executed) or not node.honest or node.index is None or node.core is None:
            return
        liars = [other for other in self.world.nodes.values() if not other.honest]
        if len(self.world.epochs) > 1 or len(liars) != 1 or not getattr(liars[0].speech, "slow", False):
            return
        if quorum.primary(note.view, self.world.members) != liars[0].index:
            return
        if self._view < 0:
            self._view = note.view
        if note.view != self._view or node.core.suspicion.timeout > 1.2 * self._timeout:
            return
        if node.core.pool.operations >= node.core.config.batch_operations_max:
            return  # while full batches wait, R32 compares throughput, and with earlier views only
        self._executed += 1
        if self._executed > ENDURED_MAX * (self.world.members - 1):
            self.fail(
                f"{liars[0].name} still leads view {note.view} after {ENDURED_MAX} late proposals (R32)"
            )
