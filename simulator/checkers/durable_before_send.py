"""Is every statement durable before it is sent, never contradicted, and never sent again in other bytes? (R4,
R6, R7; P11)"""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus import messages as m
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.world import World

VOTES = frozenset({m.PrePrepare, m.Prepare, m.Commit})
BINDING = VOTES | {m.Checkpoint, m.ViewChange, m.NewView}
PHASE: dict[type[Any], str] = {
    m.PrePrepare: "pre_prepare",
    m.Prepare: "pre_prepare",
    m.Commit: "prepared",
    m.ViewChange: "view_change",
    m.NewView: "new_view",
    m.Checkpoint: "checkpoint",
}


class DurableBeforeSend(Checker):
    """Records what each honest member ever sent for each slot, across restarts."""

    name = "durable-before-send"
    kinds = BINDING

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._said: dict[tuple[Any, ...], bytes] = {}
        self._seen: dict[tuple[str, int, bytes], bytes] = {}
        """(Member, kind, body) -> signature; a PREPARE and its COMMIT have the same body."""
        self._newest: tuple[Node | None, bytes] = (None, b"")
        """The newest of them: a broadcast arrives here once per receiver."""
        self._left: dict[tuple[str, int], int] = {}
        """(Member, epoch) -> the view that its newest VIEW-CHANGE wants to enter."""

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Checker."""
        if not node.honest or (node is self._newest[0] and frame is self._newest[1]):
            return
        envelope, message = self.world.frame_cache.read(frame)
        identity = (node.name, envelope.kind, envelope.body)
        signature = self._seen.get(identity)
        if signature is not None:
            if signature != envelope.signature:
                self.fail(f"{node.name} says a {type(message).__name__} again in other bytes (R4)")
            self._newest = (node, frame)
            return
        if not node.said(message):
            return
        self._seen[identity] = envelope.signature
        self._once(node, message, envelope.body)
        self._durable(node, message)

    def _once(self, node: Node, message: Any, body: bytes) -> None:
        kind = type(message)
        key = (node.name, kind.__name__, message.epoch, getattr(message, "view", 0), *_slot(message))
        before = self._said.setdefault(key, body)
        if before != body:
            self.fail(f"{node.name} contradicts itself: {kind.__name__} {key[2:]}")
        if kind is m.ViewChange:
            left = (node.name, message.epoch)
            self._left[left] = max(self._left.get(left, 0), message.view)
        elif kind in VOTES and message.view < self._left.get((node.name, message.epoch), 0):
            self.fail(f"{node.name} votes in view {message.view} after its VIEW-CHANGE (R29)")

    def _durable(self, node: Node, message: Any) -> None:
        kind = type(message)
        phase = PHASE[kind]
        view, sequence = getattr(message, "view", 0), getattr(message, "sequence", 0)
        disk = node.disk.synced
        if 0 < sequence <= disk.stable:
            return
        record = disk.slot(message.epoch, view, sequence, phase)
        if record is None and kind is m.PrePrepare:
            # A PRE-PREPARE that a NEW-VIEW demands is inside it; the members that prepared it hold its batch.
            record = disk.slot(message.epoch, view, 0, "new_view")
        where = f"{sequence} of view {view}"
        if record is None:
            self.fail(f"{node.name} says {kind.__name__} {where}, but no {phase} of it is durable")
        if kind in VOTES and not any(message.digest in frame for frame in record.frames):
            self.fail(f"{node.name} says {kind.__name__} {where}, durable is another digest")


def _slot(message: Any) -> tuple[int, ...]:
    sequence = getattr(message, "sequence", None)
    return () if sequence is None else (sequence,)
