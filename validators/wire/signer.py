"""Seals messages into frames (ports.Signer): deterministic, so a restart says the same bytes (R4, R7)."""

from __future__ import annotations

from typing import Any

from validators import canonical
from validators.consensus import messages as m
from validators.consensus.verified import Peer, Verified
from validators.wire.door import Door, Keys
from validators.wire.envelope import (
    Envelope,
    decode_envelope,
    encode_envelope,
    kind_of,
    signed_bytes,
)
from validators.wire.scheme import ED25519, Scheme

__all__ = ["FrameSigner", "link_frame"]

MYSELF = Peer(name="", member=None)


class FrameSigner:
    """Signs with one secret key for one cluster. A learner has no statements to sign: secret b""."""

    def __init__(self, cluster: bytes, secret: bytes, keys: Keys, *, scheme: Scheme = ED25519) -> None:
        self._cluster = cluster
        self._secret = secret
        self._scheme = scheme
        self._own = Door(cluster, keys, scheme=scheme, trusted=True)

    def sign(self, message: Any, attachment: bytes = b"") -> bytes:
        """Frame of a statement or request under the own key."""
        kind = kind_of(message)
        body = canonical.encode(message)
        signature = self._scheme.sign(self._secret, signed_bytes(self._cluster, kind, body))
        return encode_envelope(kind, body, signature, attachment)

    def link(self, message: Any) -> bytes:
        """Frame of an unsigned link message."""
        return link_frame(message)

    def attach(self, frame: bytes, attachment: bytes) -> bytes:
        """The same signed frame with a batch body (or without: b"")."""
        envelope = canonical.decode(Envelope, frame)
        return encode_envelope(envelope.kind, envelope.body, envelope.signature, attachment)

    def open(self, frame: bytes, body: bytes = b"") -> Verified[Any]:
        """A frame of the own ledger; raises PeerError only when the ledger is damaged."""
        if body:
            frame = self.attach(frame, body)
        envelope, message = decode_envelope(frame)
        return self._own._verified(MYSELF, message, envelope, frame)


def link_frame(message: Any) -> bytes:
    """Frame of an unsigned link message."""
    if type(message) not in m.LINK:
        raise TypeError(f"{type(message).__name__} must be signed")
    return encode_envelope(kind_of(message), canonical.encode(message), b"")
