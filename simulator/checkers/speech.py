"""Is everything durable before it is spoken, and nothing ever contradicted? (R6, R7; PITFALLS row 11)"""

from __future__ import annotations

from typing import Any

from simulator.checkers.base import Checker
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.world import World
from validators import canonical
from validators.consensus import messages as m
from validators.wire import Envelope

__all__ = ["Speech"]

VOTES = frozenset({m.PrePrepare, m.Prepare, m.Commit})
BINDING = VOTES | {m.Checkpoint, m.ViewChange, m.NewView}
PHASE: dict[type[Any], str] = {
    m.PrePrepare: "pre_prepare",
    m.Prepare: "pre_prepare",
    m.Commit: "prepared",
    m.ViewChange: "view_change",
    m.NewView: "new_view",
}


class Speech(Checker):
    """Remembers what each honest member ever said for each slot, across restarts."""

    name = "speech"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._said: dict[tuple[Any, ...], bytes] = {}
        self._seen: set[tuple[str, bytes]] = set()
        self._left: dict[str, int] = {}
        """The view that a member's newest VIEW-CHANGE wants to enter."""

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Checker."""
        kind = kind_of_frame(frame)
        if kind not in BINDING or not node.honest or node.index is None:
            return
        envelope = canonical.decode(Envelope, frame)
        identity = (node.name, envelope.body)
        if identity in self._seen:
            return
        message = canonical.decode(m.KINDS[envelope.kind], envelope.body)
        if message.sender != node.index:
            return
        self._seen.add(identity)
        self._once(node, message, envelope.body)
        self._durable(node, message)

    def _once(self, node: Node, message: Any, body: bytes) -> None:
        kind = type(message)
        key = (node.name, kind.__name__, message.epoch, getattr(message, "view", 0), *_slot(message))
        before = self._said.setdefault(key, body)
        if before != body:
            self.fail(f"{node.name} contradicts itself: {kind.__name__} {key[2:]}")
        if kind is m.ViewChange:
            self._left[node.name] = max(self._left.get(node.name, 0), message.view)
        elif kind in VOTES and message.view < self._left.get(node.name, 0):
            self.fail(f"{node.name} votes in view {message.view} after its VIEW-CHANGE (R29)")

    def _durable(self, node: Node, message: Any) -> None:
        kind = type(message)
        phase = PHASE.get(kind)
        if phase is None:
            return
        disk = node.disk
        if kind not in VOTES:
            if disk.slot(message.epoch, message.view, 0, phase) is None:
                self.fail(f"{node.name} says {kind.__name__} of view {message.view}, which is not durable")
            return
        if message.sequence <= disk.stable:
            return
        record = disk.slot(message.epoch, message.view, message.sequence, phase)
        if record is None and kind is m.PrePrepare:
            # One that a NEW-VIEW demands stands inside it; its batch is with those who prepared it.
            record = disk.slot(message.epoch, message.view, 0, "new_view")
        where = f"{message.sequence} of view {message.view}"
        if record is None:
            self.fail(f"{node.name} says {kind.__name__} {where}, but no {phase} of it is durable")
        if not any(message.digest in frame for frame in record.frames):
            self.fail(f"{node.name} says {kind.__name__} {where}, durable is another digest")


def _slot(message: Any) -> tuple[int, ...]:
    sequence = getattr(message, "sequence", None)
    return () if sequence is None else (sequence,)
