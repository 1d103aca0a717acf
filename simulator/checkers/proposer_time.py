"""Does an honest proposer date a batch no later than q members can accept, as they showed it? (R3)"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from dtvn.protocol import canonical
from dtvn.protocol.consensus import RaftReplica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record, SlotRecord
from dtvn.protocol.versions import LISTS
from simulator.checkers.base import Checker
from simulator.clock import MICROSECOND, MILLISECOND, SECOND
from simulator.node import Node
from simulator.world import World

KEPT_MAX = 256
"""Newest clocks of each member that are looked at: any of them may be the one that the proposer had read."""
LATELY = 7 * SECOND
"""The five seconds of the rule, and what a frame may wait before it is read."""
NEAR = 50 * MILLISECOND // MICROSECOND
"""Microseconds by which the rates of clocks make a difference in that time, and more."""


class ProposerTime(Checker):
    """Compares the time of each fresh proposal with the clocks that members had shown its proposer."""

    name = "proposer-time"
    kinds = frozenset({m.Status, m.Pong, m.AppendEntriesResult, m.RequestVote})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._shown: dict[str, dict[str, deque[tuple[int, int]]]] = {}
        """Proposer -> member -> (monotonic time there, by how much its clock was ahead of that), both in
        microseconds."""

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Checker."""
        node = self.world.nodes.get(receiver)
        if node is None:
            return  # a process whose disk another one has taken over
        try:
            clock = self.world.frame_cache.read(frame)[1].clock
        except canonical.CanonicalError:
            return  # a liar's
        if clock:
            now = node.clock.now().monotonic // MICROSECOND
            member = sender.partition("~")[0]  # a twin speaks for its member
            shown = self._shown.setdefault(receiver, {}).setdefault(member, deque(maxlen=KEPT_MAX))
            shown.append((now, clock - now))

    def stopped(self, node: Node) -> None:
        """See Observer: its monotonic clock will begin anew."""
        self._shown.pop(node.name, None)

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        core = node.core
        if core is None or not node.honest or node.index is None or not core.state.is_primary:
            return
        phase = "append" if isinstance(core, RaftReplica) else "pre_prepare"
        for record in records:
            if isinstance(record, SlotRecord) and record.phase == phase and record.body:
                batch = canonical.decode(m.Batch, record.body)
                if batch.origin_view == record.view == core.state.views.view:
                    self._acceptable(node, record.sequence, batch.proposed)

    def _acceptable(self, node: Node, sequence: int, proposed: int) -> None:
        executor = node.core.state.executor
        if proposed <= executor.timestamp + 1 or not executor.timestamp:
            return
        if node.membership.version < LISTS:
            return  # in a version without clocks a primary goes by its own (R47)
        now, members = node.goes_by(), self.world.epochs[node.membership.epoch].members
        monotonic = now.monotonic // MICROSECOND
        known = [now.wall // MICROSECOND]
        for member in members:
            shown = self._shown.get(node.name, {}).get(member.id, ())
            lately = [monotonic + ahead for at, ahead in shown if at >= monotonic - LATELY // MICROSECOND]
            if member.id != node.name and lately:
                known.append(max(lately))
        needed = node.core.state.q
        newest = sorted(known, reverse=True)
        if len(newest) < needed or proposed > newest[needed - 1] + NEAR:
            self.fail(f"{node.name} proposes {sequence} at a time that no {needed} members showed: {newest}")
