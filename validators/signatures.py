"""Ed25519 verification: the one place, whoever asks (PROTOCOL R4, PITFALLS row 12).

libsodium through PyNaCl: refuses non-canonical S and small-order keys. Libraries differ on edge cases, and
two verdicts on one signature split a cluster.
"""

from __future__ import annotations

from nacl import bindings
from nacl.exceptions import BadSignatureError

__all__ = ["SIGNATURE_SIZE", "verify"]

SIGNATURE_SIZE = 64


def verify(public_key: bytes, data: bytes, signature: bytes) -> bool:
    """True when `signature` of `data` is by the owner of `public_key`."""
    if len(signature) != SIGNATURE_SIZE or len(public_key) != 32:
        return False
    try:
        bindings.crypto_sign_open(signature + data, public_key)
    except BadSignatureError:
        return False
    return True
