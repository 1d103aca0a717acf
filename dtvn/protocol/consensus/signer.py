"""The interface that signs the messages of a replica."""

from __future__ import annotations

from typing import Any, Protocol

from dtvn.protocol.consensus.verified import Verified


class Signer(Protocol):
    """Seals messages into frames; deterministic (R4)."""

    def sign(self, message: Any, attachment: bytes = b"") -> bytes:
        """Encoded envelope of a statement (or request) signed with this node's key."""

    def link(self, message: Any) -> bytes:
        """Encoded envelope of an unsigned link message."""

    def attach(self, frame: bytes, attachment: bytes) -> bytes:
        """The same signed frame with another attachment (the batch body)."""

    def open(self, frame: bytes, body: bytes = b"") -> Verified[Any]:
        """Decode a frame from this node's ledger (signature not checked again); `body`: its batch."""
