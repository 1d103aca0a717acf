"""Does a primary keep to window, pipeline and batch size, and every table to its bound? (R20; P15)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import RaftReplica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record, SlotRecord
from dtvn.protocol.wire import Envelope
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.world import World

LOOK_EVERY = 64
"""Turns between two checks of a node's tables."""
EMPTY_MAX = 64
"""Empty entries with which terms begin, above the window: a term that decides nothing leaves one."""


class Bounds(Checker):
    """Proposals are checked when they become durable, tables every LOOK_EVERY turns."""

    name = "bounds"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._turns = 0

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        if not node.honest or node.index is None:
            return
        for record in records:
            if isinstance(record, SlotRecord) and record.phase in ("pre_prepare", "append") and record.body:
                batch = canonical.decode(m.Batch, record.body)
                if self._is_own(node, record, batch):
                    self._proposal(node, record, batch)

    def _is_own(self, node: Node, record: SlotRecord, batch: m.Batch) -> bool:
        """Whether this member proposed the batch in this view."""
        if batch.origin_view != record.view:
            return False  # carried over into this view
        if record.phase == "append":  # the entry with which a term begins always has room
            return node.index == quorum.primary(record.view, node.core.config.n) and bool(batch.requests)
        message = canonical.decode(m.PrePrepare, canonical.decode(Envelope, record.frames[0]).body)
        return node.said(message)

    def _proposal(self, node: Node, record: SlotRecord, batch: m.Batch) -> None:
        config = node.core.config
        low = node.core.state.log.stable
        if record.sequence > low + config.window:
            self.fail(f"{node.name} proposes {record.sequence}, its window ends at {low + config.window}")
        if record.sequence > node.core.executed + config.pipeline:
            self.fail(f"{node.name} proposes {record.sequence} with {node.core.executed} executed")
        operations = sum(
            len(canonical.decode(m.Bundle, canonical.decode(Envelope, frame).body).operations)
            for frame in batch.requests
        )
        if operations > config.batch_operations_max or len(record.body) > config.batch_bytes_max:
            self.fail(f"{node.name} proposes {operations} operations, {len(record.body)} bytes")

    def turning(self, node: Node) -> None:
        """See Checker."""
        self._turns += 1
        if self._turns % LOOK_EVERY or node.index is None or node.core is None or node.host is None:
            return
        for name, size, most in _tables(node.core):
            if size > most:
                self.fail(f"{node.name} holds {size} {name}, at most {most} are allowed")


def _tables(core: Any) -> list[tuple[str, int, int]]:
    """(name, size, bound) of every table that peers can fill."""
    config, log = core.config, core.state.log
    if isinstance(core, RaftReplica):
        return _raft_tables(core)
    return [
        ("slots", len(log.slots), config.watermark_span),
        ("certificates", len(log.certificates), config.watermark_span),
        ("late commits", len(log.late), config.watermark_span),
        ("decisions", len(log.decisions), config.watermark_span),
        ("operations waiting", core.policy.size()[1], config.pool_operations_max),
        ("statements of later views", max(core.state.future._count), core.state.future._frames_share),
        ("view changes", len(core.state.views.view_changes), config.n),
        ("suspicions", len(core.suspicion.suspects), config.n),
        ("clocks", len(core.state.clocks._shown), config.n),
    ]


def _raft_tables(core: RaftReplica) -> list[tuple[str, int, int]]:
    """The same of a Raft member. Its log ends at most one window, and the empty entry of one term, above the
    stable checkpoint, or where its leader's does."""
    config, log, commits = core.config, core.log, core.replication.commits
    return [
        ("entries", log.last - log.floor, config.watermark_span + EMPTY_MAX),
        ("entries' bodies", len(log._batches), config.watermark_span + EMPTY_MAX),
        ("COMMITs' indexes", len(commits), config.watermark_span + EMPTY_MAX),
        ("COMMITs of one index", max(map(len, commits.values()), default=0), config.n),
        ("decisions", len(core.state.log.decisions), config.watermark_span + EMPTY_MAX),
        ("operations waiting", core.policy.size()[1], config.pool_operations_max),
        ("statuses", len(core.statuses.members), config.n),
        ("clocks", len(core.state.clocks._shown), config.n),
    ]
