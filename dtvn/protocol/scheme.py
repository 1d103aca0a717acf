"""The one signature scheme of a cluster (R4, P12).

It uses libsodium through PyNaCl, which refuses non-canonical S and small-order keys. No other library may
verify: libraries differ on edge cases, and two verdicts on one signature split a cluster.
"""

from __future__ import annotations

from typing import Protocol

from nacl import bindings

from dtvn.protocol import signatures
from dtvn.protocol.signatures import SIGNATURE_SIZE

__all__ = ["ED25519", "SIGNATURE_SIZE", "Ed25519", "Scheme"]


class Scheme(Protocol):
    """Signs and verifies byte strings; the simulator uses a keyed hash with the same interface (R39)."""

    def sign(self, secret: bytes, data: bytes) -> bytes:
        """The signature of `data`, 64 bytes; deterministic."""

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is the signature of `data` by the owner of `public_key`."""


class Ed25519:
    """RFC 8032 signatures; `secret` is libsodium's 64-byte form (seed and public key)."""

    def sign(self, secret: bytes, data: bytes) -> bytes:
        """See Scheme."""
        return bindings.crypto_sign(data, secret)[:SIGNATURE_SIZE]

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        """See Scheme."""
        return signatures.verify(public_key, data, signature)


ED25519 = Ed25519()
