"""Certificates and chains as files: JSON around base64, or the bare bytes.

Reading is strict, so that nothing in a file can change without a verifier saying no, and all verifiers read
the same files: of JSON one form is taken, by a pattern that every language has. What JSON's readers disagree
about (names said twice, escapes, numbers, depth, what follows) is no part of it (docs/decisions/0151).
"""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path

import msgspec

from tickets.proof.certificate import CERTIFICATE_BYTES_MAX
from tickets.proof.errors import ProofError

__all__ = [
    "BYTES_MAX",
    "CERTIFICATE",
    "CHAIN",
    "EVIDENCE",
    "FILE_BYTES_MAX",
    "certificate_json",
    "chain_json",
    "evidence_json",
    "read_bounded",
    "read_file",
    "unwrap",
    "wrap",
]

CERTIFICATE = "certificate"
CHAIN = "chain"
EVIDENCE = "evidence"
BYTES_MAX = {CERTIFICATE: CERTIFICATE_BYTES_MAX, CHAIN: 16 * 1024 * 1024, EVIDENCE: 8 * 1024 * 1024}
"""What a file of each kind may hold; every verifier has these bounds."""
FILE_BYTES_MAX = {kind: 2 * size for kind, size in BYTES_MAX.items()}
"""What the file itself may have. Base64 makes four bytes of three; the rest is for white space."""


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


@cache
def _form(kind: str) -> re.Pattern[bytes]:
    """The JSON of a file of one kind, names in either order; its base64 is the only group that takes part."""
    space = r"[ \t\r\n]*"

    def pair(name: str, value: str) -> str:
        return f'"{name}"{space}:{space}{value}'

    def both(one: str, other: str) -> str:
        return rf"\{{{space}(?:{one}{space},{space}{other}|{other}{space},{space}{one}){space}\}}"

    inner = both(pair("format", f'"dtvn-{kind}/1"'), pair(kind, '"([A-Za-z0-9+/]+={0,2})"'))
    answer = both(pair("success", "true"), pair("data", inner))
    return re.compile(f"(?:{inner}|{answer}){space}".encode("ascii"))


def read_file(kind: str, path: Path) -> bytes:
    """The bytes inside a file of one kind; raise ProofError when there is none."""
    return unwrap(kind, read_bounded(path, FILE_BYTES_MAX[kind]))


def read_bounded(path: Path, bound: int) -> bytes:
    """What a file holds, but one byte more than `bound` at most: it may be a disk, or have no end at all."""
    try:
        with path.open("rb") as file:
            return file.read(bound + 1)
    except OSError as error:
        raise ProofError(f"{path} cannot be read: {error.strerror}") from error


def unwrap(kind: str, file: bytes) -> bytes:
    """The bytes inside a file of one kind: bare, in its JSON object, or in an answer of the REST API."""
    if len(file) > FILE_BYTES_MAX[kind]:
        raise ProofError(f"this file is no {kind}: it is too large, over {FILE_BYTES_MAX[kind]} bytes")
    data = file
    if file.startswith(b"{"):
        found = _form(kind).fullmatch(file)
        if found is None or found.lastindex is None:
            form = f'{{"format": "dtvn-{kind}/1", "{kind}": "<base64>"}}'
            raise ProofError(f'this file is no {kind}: not {form}, alone or the "data" of a good answer')
        text = found[found.lastindex]
        data = base64.b64decode(text[: len(text) & ~3])
        if base64.b64encode(data) != text:
            raise ProofError(f"the {kind} in this file is not the one spelling of its base64")
    elif not b"\x90" <= file[:1] < b"\xa0":
        raise ProofError(f"this file is no {kind}: it begins neither with {{ nor as its bytes do")
    if len(data) > BYTES_MAX[kind]:
        raise ProofError(f"this file is no {kind}: {len(data)} bytes are too many")
    return data
