"""What a replica told of misbehaviour, on its way into the ledger (PITFALLS rows 3 and 22).

Evidence binds nobody, so no turn waits for it: it is written with the next state rows or when the node
is idle, within a second, and it is bounded, since whoever lies can lie in every slot.
"""

from __future__ import annotations

import time
from typing import Any

from validators import canonical
from validators.consensus.effects import Note
from validators.ledger.encoding import checksum
from validators.ledger.statements import INSERT_EVIDENCE, TRIM_EVIDENCE
from validators.ledger.store import Write
from validators.wire import decode_envelope

__all__ = ["EVIDENCE_PER_MEMBER_MAX", "Convictions"]

EVIDENCE_PER_MEMBER_MAX = 256
"""Pieces kept against one member: the first ones; a member convicted 256 times needs no further proof."""

EVIDENCE_BYTES_MAX = 4 * 1024 * 1024
"""Frames of one piece; a larger one is told in the log only."""

WAITING_MAX = 64
"""Pieces not yet written; further ones are told in the log only."""


class Convictions:
    """Collects evidence until a transaction takes it along."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def notice(self, note: Note) -> None:
        """Take the note when it is evidence."""
        if note.kind != "evidence" or len(self._waiting) >= WAITING_MAX:
            return
        fields = note.fields
        frames = canonical.encode(tuple(fields["frames"]))
        if len(frames) > EVIDENCE_BYTES_MAX:
            return
        columns = (
            fields["code"],
            decode_envelope(fields["frames"][0])[1].epoch,
            fields["sender"],
            fields["view"],
            fields["sequence"],
            frames,
            time.time_ns() // 1_000,
        )
        self._waiting.append((*columns, checksum(columns)))

    def writes(self) -> list[Write]:
        """As statements for Store.commit; empty when nothing waits."""
        if not self._waiting:
            return []
        members = sorted({row[2] for row in self._waiting})
        return [
            Write(INSERT_EVIDENCE, list(self._waiting)),
            Write(TRIM_EVIDENCE, [(member, member, EVIDENCE_PER_MEMBER_MAX) for member in members]),
        ]

    def written(self) -> None:
        """What `writes` gave is in the ledger."""
        self._waiting.clear()
