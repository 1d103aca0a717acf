"""Certificates and chains as files: JSON around base64, or the bare bytes.

Reading is strict, so that every change of a file is refused and all verifiers accept the same files: only one
form of JSON is accepted, matched by a pattern that every language supports. It excludes everything on which
JSON parsers disagree: repeated names, escapes, numbers, depth, trailing data (decision 0151).
"""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path

import msgspec

from dtvn.proof.certificate import CERTIFICATE_BYTES_MAX
from dtvn.protocol.proof_errors import Code, ProofError

CERTIFICATE = "certificate"
CHAIN = "chain"
EVIDENCE = "evidence"
TRANSCRIPT = "transcript"
BYTES_MAX = {
    CERTIFICATE: CERTIFICATE_BYTES_MAX,
    CHAIN: 16 * 1024 * 1024,
    EVIDENCE: 8 * 1024 * 1024,
    TRANSCRIPT: 64 * 1024 * 1024,
}
"""Kind -> most bytes inside a file; every verifier has these bounds."""
FILE_BYTES_MAX = {kind: 2 * size for kind, size in BYTES_MAX.items()}
"""Kind -> most bytes of the file itself. Base64 makes four bytes of three; the rest is for white space."""


def wrap(kind: str, data: bytes) -> dict[str, str]:
    """The JSON object of a file of one kind."""
    return {"format": f"dtvn-{kind}/1", kind: base64.b64encode(data).decode("ascii")}


def certificate_json(data: bytes) -> bytes:
    """The file of a certificate."""
    return msgspec.json.encode(wrap(CERTIFICATE, data))


def chain_json(data: bytes) -> bytes:
    """The file of an epoch chain."""
    return msgspec.json.encode(wrap(CHAIN, data))


def evidence_json(data: bytes) -> bytes:
    """The file of a piece of evidence."""
    return msgspec.json.encode(wrap(EVIDENCE, data))


def transcript_json(data: bytes) -> bytes:
    """The file of a transcript of events."""
    return msgspec.json.encode(wrap(TRANSCRIPT, data))


@cache
def _form(kind: str) -> re.Pattern[bytes]:
    """Pattern for the JSON of a file of one kind, with names in either order; the only group that matches is
    its base64."""
    space = r"[ \t\r\n]*"

    def pair(name: str, value: str) -> str:
        return f'"{name}"{space}:{space}{value}'

    def both(one: str, other: str) -> str:
        return rf"\{{{space}(?:{one}{space},{space}{other}|{other}{space},{space}{one}){space}\}}"

    inner = both(pair("format", f'"dtvn-{kind}/1"'), pair(kind, '"([A-Za-z0-9+/]+={0,2})"'))
    answer = both(pair("success", "true"), pair("data", inner))
    return re.compile(f"(?:{inner}|{answer}){space}".encode("ascii"))


def read_file(kind: str, path: Path) -> bytes:
    """The bytes inside a file of one kind; raises ProofError if it cannot be read or has another form."""
    return unwrap(kind, read_bounded(path, FILE_BYTES_MAX[kind]))


def read_bounded(path: Path, bound: int) -> bytes:
    """The content of a file, but at most `bound` + 1 bytes: the path may be a disk, or a device without an
    end."""
    try:
        with path.open("rb") as file:
            return file.read(bound + 1)
    except OSError as error:
        said = f"{path} cannot be read: {error.strerror}"
        raise ProofError(Code.UNREADABLE, str(path), said) from error


def unwrap(kind: str, file: bytes) -> bytes:
    """The bytes inside a file of one kind: bare, in its JSON object, or in an answer of the REST API."""
    if len(file) > FILE_BYTES_MAX[kind]:
        said = f"this file is no {kind}: it is too large, over {FILE_BYTES_MAX[kind]} bytes"
        raise ProofError(Code.TOO_LARGE, kind, said)
    data = file
    if file.startswith(b"{"):
        found = _form(kind).fullmatch(file)
        if found is None or found.lastindex is None:
            form = f'{{"format": "dtvn-{kind}/1", "{kind}": "<base64>"}}'
            said = f'this file is no {kind}: not {form}, alone or the "data" of a good answer'
            raise ProofError(Code.WRONG_FILE, kind, said)
        text = found[found.lastindex]
        data = base64.b64decode(text[: len(text) & ~3])
        if base64.b64encode(data) != text:
            said = f"the {kind} in this file is not the one spelling of its base64"
            raise ProofError(Code.WRONG_FILE, kind, said)
    elif not b"\x90" <= file[:1] < b"\xa0":
        said = f"this file is no {kind}: it begins neither with {{ nor as its bytes do"
        raise ProofError(Code.WRONG_FILE, kind, said)
    if len(data) > BYTES_MAX[kind]:
        raise ProofError(Code.TOO_LARGE, kind, f"this file is no {kind}: {len(data)} bytes are too many")
    return data
