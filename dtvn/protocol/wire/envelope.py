"""The outer form of every frame: [kind, body, signature, attachment].

The signature covers tag, cluster id, kind and body (R1). It does not cover the attachment (a batch body),
which is bound by the digest in the body; so certificates carry only the signed part.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import KIND_OF, KINDS

TAG = b"dtvn/v1/signed\0"


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One frame; `signature` is b"" on link messages."""

    kind: int
    body: bytes
    signature: bytes
    attachment: bytes


def signed_bytes(cluster: bytes, kind: int, body: bytes) -> bytes:
    """The bytes that a signature covers: domain tag with version, cluster id, kind, body (R1)."""
    return b"".join((TAG, cluster, kind.to_bytes(1, "big"), body))


def encode_envelope(kind: int, body: bytes, signature: bytes, attachment: bytes = b"") -> bytes:
    """Bytes of a frame."""
    return canonical.encode(Envelope(kind, body, signature, attachment))


def decode_envelope(frame: bytes) -> tuple[Envelope, Any]:
    """The envelope and its decoded message; raise CanonicalError when either is malformed."""
    envelope = canonical.decode(Envelope, frame)
    message_type = KINDS.get(envelope.kind)
    if message_type is None:
        raise canonical.CanonicalError(f"unknown kind {envelope.kind}")
    return envelope, canonical.decode(message_type, envelope.body)


def kind_of(message: object) -> int:
    """The kind number of a message object."""
    return KIND_OF[type(message)]
