"""Ed25519 verification: the one place, whoever asks (PROTOCOL R4, PITFALLS row 12).

libsodium through PyNaCl: refuses non-canonical S and small-order keys. Libraries differ on edge cases, and
two verdicts on one signature split a cluster.
"""

from __future__ import annotations

from nacl import bindings
from nacl.exceptions import BadSignatureError

__all__ = ["PUBLIC_KEY_SIZE", "SIGNATURE_SIZE", "is_public_key", "verify"]

PUBLIC_KEY_SIZE = 32
SIGNATURE_SIZE = 64


def is_public_key(key: bytes) -> bool:
    """Whether these bytes are an Ed25519 public key as RFC 8032 makes them: the canonical form of a point of
    the main subgroup. Half of all 32 bytes are no point at all, and no CURVE key comes out of them."""
    return len(key) == PUBLIC_KEY_SIZE and bool(bindings.crypto_core_ed25519_is_valid_point(key))


def verify(public_key: bytes, data: bytes, signature: bytes) -> bool:
    """True when `signature` of `data` is by the owner of `public_key`."""
    if len(signature) != SIGNATURE_SIZE or len(public_key) != PUBLIC_KEY_SIZE:
        return False
    try:
        bindings.crypto_sign_open(signature + data, public_key)
    except BadSignatureError:
        return False
    return True
