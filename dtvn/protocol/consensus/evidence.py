"""Provable misbehaviour: two signed statements of one member that contradict each other (P3, P22).

Only the first contradiction per (kind, view, sequence, sender) is reported; the rest is dropped unread.
"""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus.effects import EvidenceRecord
from dtvn.protocol.consensus.outbox import Outbox
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.probes import probe

SENTENCES = {
    "double_proposal": "proposed two batches for one sequence of one view",
    "prepare": "prepared two batches for one sequence of one view",
    "commit": "committed two batches for one sequence of one view",
    "checkpoint": "signed two states after one sequence",
    "view_change": "sent two VIEW-CHANGEs for one view",
    "bad_view_change": "sent a VIEW-CHANGE whose proofs prove nothing",
    "bad_new_view": "sent a NEW-VIEW that does not follow from its VIEW-CHANGEs",
}
"""Kind of evidence -> sentence that says what its sender did."""

KNOWN_MAX = 1_024
"""Most convictions remembered, so that each is reported once; the oldest is forgotten first."""

Slot = tuple[str, int, int, int]


class Evidence:
    """Records and reports misbehaviour; the core's own decisions do not depend on it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._known: dict[Slot, None] = {}

    def known(self, kind: str, message: Any) -> bool:
        """Whether a contradiction of this sender in this slot was already reported."""
        return _slot(kind, message) in self._known

    def note_double(self, kind: str, second: Verified[Any], first: bytes) -> None:
        """Record that `first` and `second` contradict each other."""
        self._note(kind, second, (first, second.frame))

    def note_single(self, kind: str, proof: Verified[Any], view_changes: tuple[bytes, ...] = ()) -> None:
        """Record a statement that convicts its sender by itself, or with the frames in `view_changes`."""
        self._note(kind, proof, (proof.frame, *view_changes))

    def _note(self, kind: str, verified: Verified[Any], frames: tuple[bytes, ...]) -> None:
        message = verified.message
        slot = _slot(kind, message)
        if slot in self._known:
            return
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[slot] = None
        probe(f"evidence.{kind}")
        record = EvidenceRecord(kind, message.epoch, message.sender, slot[1], slot[2], frames)
        self._outbox.persist(record)
        self._outbox.note(
            "evidence",
            code=kind,
            text=SENTENCES[kind],
            sender=message.sender,
            view=slot[1],
            sequence=slot[2],
            frames=frames,
        )


def _slot(kind: str, message: Any) -> Slot:
    view: int = getattr(message, "view", 0)
    sequence: int = getattr(message, "sequence", 0)
    return (kind, view, sequence, message.sender)
