"""Writes evidence to the ledger, with the turn that found it (P3 and P22).

Its amount is bounded, since a faulty member can lie in every slot.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import EvidenceRecord
from validators.ledger.encoding import with_checksum
from validators.ledger.statements import INSERT_EVIDENCE, TRIM_EVIDENCE
from validators.ledger.store import Write

EVIDENCE_PER_MEMBER_MAX = 256
"""Most pieces kept against one member of one epoch, the first ones; after 256 convictions no further proof is
needed."""

EVIDENCE_MAX = 4_096
EVIDENCE_AT_LEAST = 4
"""First pieces that are always kept against each member of each epoch, even beyond the total EVIDENCE_MAX."""

EVIDENCE_BYTES_MAX = 4 * 1024 * 1024
"""Most bytes of the frames of one piece; a larger one is only logged."""


def evidence_writes(records: Sequence[EvidenceRecord]) -> list[Write]:
    """Statements for Store.commit; a piece that is already stored changes nothing."""
    rows = []
    for record in records:
        frames = canonical.encode(record.frames)
        if len(frames) > EVIDENCE_BYTES_MAX:
            continue
        place = (record.code, record.epoch, record.member, record.view, record.sequence)
        rows.append(with_checksum((*place, frames, time.time_ns() // 1_000)))
    if not rows:
        return []
    seats = sorted({(row[1], row[2]) for row in rows})
    bounds = [
        (*seat, *seat, EVIDENCE_AT_LEAST, *seat, EVIDENCE_PER_MEMBER_MAX, EVIDENCE_MAX) for seat in seats
    ]
    return [
        Write(INSERT_EVIDENCE, rows),
        Write(TRIM_EVIDENCE, bounds),
    ]
