"""Ed25519 verification for all callers, in one place (R4, P12).

It uses libsodium through PyNaCl, which refuses non-canonical S and small-order keys. Libraries differ on edge
cases, and two verdicts on one signature split a cluster.
"""

from __future__ import annotations

from nacl import bindings
from nacl.exceptions import BadSignatureError

PUBLIC_KEY_SIZE = 32
SIGNATURE_SIZE = 64


def is_public_key(key: bytes) -> bool:
    """Whether these bytes are a valid Ed25519 public key (RFC 8032): the canonical form of a point of the
    main subgroup. Half of all 32-byte strings are not points at all, and no CURVE key derives from them."""
    return len(key) == PUBLIC_KEY_SIZE and bool(bindings.crypto_core_ed25519_is_valid_point(key))


def verify(public_key: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is the signature of `data` by the owner of `public_key`."""
    if len(signature) != SIGNATURE_SIZE or len(public_key) != PUBLIC_KEY_SIZE:
        return False
    try:
        bindings.crypto_sign_open(signature + data, public_key)
    except BadSignatureError:
        return False
    return True
