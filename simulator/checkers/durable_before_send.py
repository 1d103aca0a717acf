"""Is every statement durable before it is sent, never contradicted, and never sent again in other bytes? (R4,
R6, R7; P11)"""

from __future__ import annotations

from typing import Any

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import decode_envelope
from simulator.checkers.base import Checker
from simulator.disk import Image
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
    kinds = BINDING | {m.Head, m.Reply}

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
        if isinstance(message, m.Reply):
            self._reply(node, message)
            return
        identity = (node.name, envelope.kind, envelope.body)
        signature = self._seen.get(identity)
        if signature is not None:
            if signature != envelope.signature:
                self.fail(f"{node.name} says a {type(message).__name__} again in other bytes (R4)")
            self._newest = (node, frame)
            return
        if not node.said(message):
            return
        if isinstance(message, m.Head):
            self._head(node, message)
            return
        self._seen[identity] = envelope.signature
        self._once(node, message, envelope.body)
        self._durable(node, message)

    def _head(self, node: Node, head: m.Head) -> None:
        """A head names the end of the log, as a power failure would leave it (R45)."""
        if head.sequence > len(node.disk.synced.log):
            self.fail(f"{node.name} says that its log ends with {head.sequence}, which is not durable (R45)")

    def _reply(self, node: Node, reply: m.Reply) -> None:
        """The turn that executed it is written; it need not be synced (R6)."""
        if reply.entry.sequence > len(node.disk.log):
            self.fail(f"{node.name} answers with {reply.entry.sequence}, which is not written (R8)")

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
        phase = "commit" if kind is m.Commit and self.world.settings.mode is Mode.RAFT else PHASE[kind]
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
        if kind is m.ViewChange:
            self._newest_certificates(node, message)
        if kind in VOTES and not any(message.digest in frame for frame in record.frames):
            self.fail(f"{node.name} says {kind.__name__} {where}, durable is another digest")
        if phase == "commit" and not _is_accepted(disk, message):
            self.fail(f"{node.name} acknowledges {where}, but the entry is not durable (R44)")

    def _newest_certificates(self, node: Node, message: m.ViewChange) -> None:
        """A VIEW-CHANGE carries the newest prepared certificate that its sender holds of a sequence (R33)."""
        carried: dict[int, int] = {}
        for proof in message.prepared:
            proposal = self.world.frame_cache.read(proof.pre_prepare)[1]
            carried[proposal.sequence] = proposal.view
        for record in node.disk.synced.slots.values():
            if record.phase != "prepared" or record.epoch != message.epoch or record.view >= message.view:
                continue
            if record.view > carried.get(record.sequence, record.view):
                self.fail(
                    f"{node.name} leaves for view {message.view} with the certificate of view "
                    f"{carried[record.sequence]} for {record.sequence}, and holds one of view {record.view}"
                )


def _slot(message: Any) -> tuple[int, ...]:
    sequence = getattr(message, "sequence", None)
    return () if sequence is None else (sequence,)


def _is_accepted(disk: Image, message: m.Commit) -> bool:
    """Whether an acknowledged entry is in the log, or accepted and not executed."""
    if message.sequence <= len(disk.log):
        return True
    return any(
        _digest(slot.body) == message.digest
        for slot in disk.slots.values()
        if slot.phase == "append" and slot.sequence == message.sequence
    )


def _digest(body: bytes) -> bytes:
    batch = canonical.decode(m.Batch, body)
    digests = tuple(m.bundle_digest(decode_envelope(frame)[0].body) for frame in batch.requests)
    return m.batch_digest(batch.origin_view, batch.proposed, digests)
