"""Supplies a node's part of proofs: signed receipts of executed entries, and evidence of misbehaviour.

A receipt is signed again only for an entry of the node's own log and of the present epoch, with the key of
that epoch; Ed25519 is deterministic, so these are the bytes that the node's Reply carried (R4, R26).
"""

from __future__ import annotations

import base64
from typing import Any

from dtvn.node.member import MemberProcess
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Receipt
from dtvn.protocol.host.ports import JournalError
from dtvn.protocol.wire import Envelope

EVIDENCE_PAGE = 32
"""Most pieces of evidence in one answer."""
EVIDENCE_PAGE_BYTES = 1024 * 1024
"""Most bytes of frames in one answer, which always holds at least one piece."""


def receipt(node: MemberProcess, arguments: tuple[str, ...]) -> tuple[str, Any]:
    """(code, this node's signature under its Receipt for a sequence). Argument: the sequence."""
    if len(arguments) != 1 or not _is_number(arguments[0]):
        return "bad_arguments", None
    sequence = int(arguments[0])
    try:
        found = node.journal.entries(sequence, sequence, 0) if 0 < sequence <= node.executed else ()
    except JournalError:
        return "unavailable", None
    if not found or found[0].entry.epoch != node.core.config.epoch:
        return "not_executed", None
    own = Receipt(node.core.config.epoch, node.core.state.index, sequence, found[0].entry_hash)
    signature = canonical.decode(Envelope, node.core.state.signer.sign(own)).signature
    told = {"node_id": node.id, "sequence": node.executed, "signature": base64.b64encode(signature).decode()}
    return "", told


def evidence(node: MemberProcess, arguments: tuple[str, ...]) -> tuple[str, Any]:
    """(code, the evidence stored after an id, oldest first). Argument: the last id that the asker has."""
    if len(arguments) != 1 or not _is_number(arguments[0]):
        return "bad_arguments", None
    rows = node.ledger.evidence(int(arguments[0]), EVIDENCE_PAGE)
    told: list[dict[str, Any]] = []
    room = EVIDENCE_PAGE_BYTES
    for row in rows:
        room -= len(row.frames)
        if told and room < 0:
            break
        frames = canonical.decode(tuple[bytes, ...], row.frames)
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
