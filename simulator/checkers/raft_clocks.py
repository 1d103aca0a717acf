"""Does a Raft leader propose only by a clock that a majority of the members confirmed? (R3, R44)"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from dtvn.protocol import canonical
from dtvn.protocol.consensus import RaftReplica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record, SlotRecord
from simulator.checkers.base import Checker
from simulator.clock import MICROSECOND
from simulator.node import Node
from simulator.world import World

KEPT_MAX = 64
"""Newest answers of each member that are looked at: any of them may be the one that the leader had read."""


class RaftClocks(Checker):
    """Compares the time of each proposal with the clocks that members told its leader. The first entry of an
    elected leader needs no other word: who voted for it had compared its clock."""

    name = "raft-clocks"
    kinds = frozenset({m.AppendEntriesResult})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._ahead: dict[str, dict[str, deque[int]]] = {}
        """Leader -> member -> how far its clock was ahead of the leader's monotonic one, microseconds."""
        self._drift = 2 * world.settings.parameters.drift_bound

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Checker."""
        node = self.world.nodes.get(receiver)
        if node is None:
            return  # a process whose disk another one has taken over
        clock = self.world.frame_cache.read(frame)[1].clock
        told = self._ahead.setdefault(receiver, {}).setdefault(sender, deque(maxlen=KEPT_MAX))
        told.append(clock - node.clock.now().monotonic // MICROSECOND)

    def stopped(self, node: Node) -> None:
        """See Observer: its monotonic clock will begin anew."""
        self._ahead.pop(node.name, None)

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        core = node.core
        if not isinstance(core, RaftReplica) or not core.elections.leads:
            return
        for record in records:
            if isinstance(record, SlotRecord) and record.phase == "append":
                batch = canonical.decode(m.Batch, record.body)
                own = batch.origin_view == record.view == core.state.views.view
                if own and (batch.requests or not record.view):
                    self._confirmed(node, record.sequence, batch.proposed)

    def _confirmed(self, node: Node, sequence: int, proposed: int) -> None:
        monotonic = node.clock.now().monotonic // MICROSECOND
        near = sum(
            any(abs(proposed - monotonic - ahead) <= self._drift for ahead in told)
            for told in self._ahead.get(node.name, {}).values()
        )
        if near + 1 < node.core.state.q:
            self.fail(f"{node.name} proposes {sequence} at a time that {near} other members confirmed")
