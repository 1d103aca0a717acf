"""Provable misbehaviour: two signed statements of one member that contradict each other (PITFALLS 3, 22).

Only the first contradiction per (kind, view, sequence, sender) is told; the rest is dropped unread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validators.consensus.effects import EvidenceRecord
from validators.consensus.verified import Verified
from validators.probes import probe

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["SENTENCES", "Evidence"]

SENTENCES = {
    "double_proposal": "proposed two batches for one sequence of one view",
    "prepare": "prepared two batches for one sequence of one view",
    "commit": "committed two batches for one sequence of one view",
    "checkpoint": "signed two states after one sequence",
    "view_change": "sent two VIEW-CHANGEs for one view",
    "bad_view_change": "sent a VIEW-CHANGE whose proofs prove nothing",
    "bad_new_view": "sent a NEW-VIEW that does not follow from its VIEW-CHANGEs",
}
"""What each kind of evidence convicts its sender of."""

KNOWN_MAX = 1_024
"""Convictions remembered, so that each is told once; the oldest is forgotten first."""

Slot = tuple[str, int, int, int]


class Evidence:
    """Tells watchers; the core itself needs no memory of crimes."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self._known: dict[Slot, None] = {}

    def known(self, kind: str, message: Any) -> bool:
        """Whether a contradiction of this sender in this slot was told before."""
        return _slot(kind, message) in self._known

    def note_double(self, kind: str, second: Verified[Any], first: bytes) -> None:
        """`first` and `second` contradict each other."""
        self._note(kind, second, (first, second.frame))

    def note_single(self, kind: str, proof: Verified[Any], basis: tuple[bytes, ...] = ()) -> None:
        """A statement that convicts by itself, or with the frames that it rests on."""
        self._note(kind, proof, (proof.frame, *basis))

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
        self.core.outbox.persist(record)
        self.core.outbox.note(
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
