"""What a node signs and shows for proofs: receipts of what it executed, and the misbehaviour it has seen.

A receipt is signed again only for an entry in the own log and of the running epoch, with the key of that
epoch; Ed25519 is deterministic, so these are the bytes that its Reply carried (R4, R26).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from validators import canonical
from validators.consensus.messages import Receipt
from validators.ledger.models import Evidence
from validators.ports import JournalError
from validators.wire import Envelope

if TYPE_CHECKING:
    from validators.node.build import Node

__all__ = ["evidence", "receipt"]

EVIDENCE_PAGE = 32
"""Pieces in one answer ..."""
EVIDENCE_PAGE_BYTES = 1024 * 1024
"""... as long as their frames fit this; at least one."""


def receipt(node: Node, arguments: tuple[str, ...]) -> tuple[str, Any]:
    """Argument: a sequence. The signature of the own Receipt for it."""
    if len(arguments) != 1 or not _is_number(arguments[0]):
        return "bad_arguments", None
    sequence = int(arguments[0])
    try:
        found = node.journal.entries(sequence, sequence, 0) if 0 < sequence <= node.executed else ()
    except JournalError:
        return "unavailable", None
    if not found or found[0].entry.epoch != node.core.config.epoch:
        return "not_executed", None
    own = Receipt(node.core.config.epoch, node.core.index, sequence, found[0].entry_hash)
    signature = canonical.decode(Envelope, node.core.signer.sign(own)).signature
    told = {"node_id": node.id, "sequence": node.executed, "signature": base64.b64encode(signature).decode()}
    return "", told


def evidence(node: Node, arguments: tuple[str, ...]) -> tuple[str, Any]:
    """Argument: the last id that the asker has. What was stored after it, oldest first."""
    if len(arguments) != 1 or not _is_number(arguments[0]):
        return "bad_arguments", None
    rows = Evidence.objects.using(node.ledger.alias).filter(id__gt=int(arguments[0])).order_by("id")
    told: list[dict[str, Any]] = []
    room = EVIDENCE_PAGE_BYTES
    for row in rows[:EVIDENCE_PAGE]:
        room -= len(row.frames)
        if told and room < 0:
            break
        frames = canonical.decode(tuple[bytes, ...], bytes(row.frames))
        told.append(
            {
                "id": row.id,
                "code": row.code,
                "epoch": row.epoch,
                "member": row.member,
                "view": row.view,
                "sequence": row.sequence,
                "timestamp": row.timestamp,
                "frames": [base64.b64encode(frame).decode() for frame in frames],
            }
        )
    return "", {"node_id": node.id, "evidence": told}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
