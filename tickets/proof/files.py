"""Certificates and chains as files: JSON around base64, or the bare bytes.

Reading is strict, so that nothing in a file can change without a verifier saying no: UTF-8, one spelling of
base64, no member that is not known; of one that is said twice every verifier takes the last.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from tickets.proof.errors import ProofError

__all__ = [
    "CERTIFICATE",
    "CHAIN",
    "EVIDENCE",
    "certificate_json",
    "chain_json",
    "evidence_json",
    "unwrap",
    "wrap",
]

CERTIFICATE = "certificate"
CHAIN = "chain"
EVIDENCE = "evidence"


def wrap(kind: str, data: bytes) -> dict[str, str]:
    """The JSON object of a file of one kind."""
    return {"format": f"dtvn-{kind}/1", kind: base64.b64encode(data).decode("ascii")}


def certificate_json(data: bytes) -> bytes:
    """A certificate's file."""
    return msgspec.json.encode(wrap(CERTIFICATE, data))


def chain_json(data: bytes) -> bytes:
    """An epoch chain's file."""
    return msgspec.json.encode(wrap(CHAIN, data))


def evidence_json(data: bytes) -> bytes:
    """The file of a piece of evidence."""
    return msgspec.json.encode(wrap(EVIDENCE, data))


def unwrap(kind: str, file: bytes) -> bytes:
    """The bytes inside a file of one kind: bare, in its JSON object, or in an answer of the REST API."""
    if not file.startswith(b"{"):
        return file
    found: Any
    try:
        found = msgspec.json.decode(file)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProofError(f"this file is no JSON ({error})") from error
    answered = found.get("success") is True and set(found) == {"success", "data"}
    inner = found["data"] if answered else found
    if not isinstance(inner, dict) or set(inner) != {"format", kind}:
        raise ProofError(f"this file is no {kind}")
    text = inner[kind]
    if inner["format"] != f"dtvn-{kind}/1" or not isinstance(text, str):
        raise ProofError(f"this file is no {kind} of a format that this verifier knows")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError(f"the {kind} in this file is no base64") from error
    if wrap(kind, data) != inner:
        raise ProofError(f"the {kind} in this file is not the one spelling of its base64")
    return data
