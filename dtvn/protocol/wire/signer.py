"""Seals messages into frames (ports.Signer): deterministic, so a restart gives the same bytes (R4, R7)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Peer, Verified
from dtvn.protocol.scheme import ED25519, Scheme
from dtvn.protocol.wire.door import Door, Keys
from dtvn.protocol.wire.envelope import Envelope, decode_envelope, encode_envelope, kind_of, signed_bytes

MYSELF = Peer(name="", member=None)


class FrameSigner:
    """Signs with one secret key for one cluster. A learner signs no statements; its secret is b""."""

    def __init__(self, cluster: bytes, secret: bytes, keys: Keys, *, scheme: Scheme = ED25519) -> None:
        self._cluster = cluster
        self._secret = secret
        self._scheme = scheme
        self._own = Door(cluster, keys, scheme=scheme, trusted=True)

    def sign(self, message: Any, attachment: bytes = b"") -> bytes:
        """Frame of a statement or request, signed with this node's key."""
        kind = kind_of(message)
        body = canonical.encode_trimmed(message)
        signature = self._scheme.sign(self._secret, signed_bytes(self._cluster, kind, body))
        return encode_envelope(kind, body, signature, attachment)

    def link(self, message: Any) -> bytes:
        """Frame of an unsigned link message."""
        return link_frame(message)

    def attach(self, frame: bytes, attachment: bytes) -> bytes:
        """The same signed frame with a batch body (b"": without one)."""
        envelope = canonical.decode(Envelope, frame)
        return encode_envelope(envelope.kind, envelope.body, envelope.signature, attachment)

    def open(self, frame: bytes, body: bytes = b"") -> Verified[Any]:
        """Decode a frame from this node's ledger; raises PeerError only if the ledger is damaged."""
        if body:
            frame = self.attach(frame, body)
        envelope, message = decode_envelope(frame)
        return self._own._verified(MYSELF, message, envelope, frame)


def link_frame(message: Any) -> bytes:
    """Frame of an unsigned link message."""
    if type(message) not in m.LINK:
        raise TypeError(f"{type(message).__name__} must be signed")
    return encode_envelope(kind_of(message), canonical.encode_trimmed(message), b"")
