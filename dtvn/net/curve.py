"""Derives CURVE keys from Ed25519 keys, so that genesis lists one key per party.

libsodium implements the birational map of RFC 7748 section 4.1. A link authenticated by CURVE is thus
authenticated by the member's or principal's signing key, and no party has a second key to guard.
"""

from __future__ import annotations

import msgspec
from nacl import bindings
from zmq.utils import z85

SEED_SIZE = 32


class CurveKeys(msgspec.Struct, frozen=True):
    """A CURVE key pair in the Z85 text that ZeroMQ takes (40 characters each)."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"CurveKeys(public={self.public!r}, secret=hidden)"


def curve_keys(seed: bytes) -> CurveKeys:
    """CURVE pair of the owner of a 32-byte Ed25519 seed; raise ValueError on another length."""
    if len(seed) != SEED_SIZE:
        raise ValueError(f"seed: an Ed25519 seed has {SEED_SIZE} bytes, not {len(seed)}")
    public_key, secret_key = bindings.crypto_sign_seed_keypair(seed)
    secret = bindings.crypto_sign_ed25519_sk_to_curve25519(secret_key)
    public = bindings.crypto_sign_ed25519_pk_to_curve25519(public_key)
    return CurveKeys(public=z85.encode(public), secret=z85.encode(secret))


def curve_public(public_key: bytes) -> bytes:
    """CURVE public key (Z85, 40 bytes) of an Ed25519 public key (32 bytes); raise ValueError if invalid."""
    try:
        return z85.encode(bindings.crypto_sign_ed25519_pk_to_curve25519(public_key))
    except Exception as error:
        raise ValueError(f"public_key: not an Ed25519 key: {public_key.hex()}") from error
