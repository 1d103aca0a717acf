"""Does a primary keep to window, pipeline and batch size, and every table to its bound? (R20; P15)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record, SlotRecord
from dtvn.protocol.wire import Envelope
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.world import World

LOOK_EVERY = 64
"""Turns between two checks of a node's tables."""


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
            if isinstance(record, SlotRecord) and record.phase == "pre_prepare" and record.body:
                self._proposal(node, record)

    def _proposal(self, node: Node, record: SlotRecord) -> None:
        config = node.core.config
        message = canonical.decode(m.PrePrepare, canonical.decode(Envelope, record.frames[0]).body)
        batch = canonical.decode(m.Batch, record.body)
        if not node.said(message) or batch.origin_view != record.view:
            return  # proposed by another member, or carried over into this view
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
    return [
        ("slots", len(log.slots), config.watermark_span),
        ("certificates", len(log.certificates), config.watermark_span),
        ("late commits", len(log.late), config.watermark_span),
        ("decisions", len(log.decisions), config.watermark_span),
        ("operations waiting", core.policy.size()[1], config.pool_operations_max),
        ("statements of later views", max(core.state.future._count), core.state.future._frames_share),
        ("view changes", len(core.state.views.view_changes), config.n),
        ("suspicions", len(core.suspicion.suspects), config.n),
    ]
