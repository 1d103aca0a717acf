"""Notes of refused frames."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Executed, Note, Reason
from dtvn.protocol.consensus.verified import Inbound


def refusals_in(notes: Sequence[Executed | Note]) -> int:
    """Number of refusals among these notes."""
    return sum(isinstance(note, Note) and note.kind == "refused" for note in notes)


def refusal_note(item: Inbound, reason: Reason, text: str, times: int = 1) -> Note:
    """The note that a frame, or `times` like it, was refused."""
    return Note(
        kind="refused",
        fields={
            "peer": item.peer.name,
            "reason": reason.value,
            "text": text,
            **({"times": times} if times > 1 else {}),
            "frame": canonical.digest(item.frame[:1024]).hex()[:16],
        },
    )
