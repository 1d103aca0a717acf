"""The world's default signature scheme: a keyed hash whose keys only the world and the owner hold (R39).

Adversaries cannot forge signatures, because they get only a secret of their own; and it is twenty times
cheaper than Ed25519. Same shapes: 32-byte public keys (points of the curve, as the rules ask), 64-byte
signatures. `MalleableHash` is a variant whose signatures have many forms, for worlds that test whether a node
takes a signature's bytes for the signed statement.
"""

from __future__ import annotations

from hashlib import blake2b, sha256

from nacl import bindings

from dtvn.protocol.wire import ED25519, Scheme

LOOSE = 8
"""Bytes at the end of a malleable signature that are not verified."""


class KeyedHash:
    """wire.Scheme over keyed BLAKE2b; only the world has the table from public key to secret."""

    def __init__(self) -> None:
        self._secrets: dict[bytes, bytes] = {}

    def pair(self, name: str) -> tuple[bytes, bytes]:
        """(public key, secret) of a name."""
        secret = sha256(b"secret of " + name.encode()).digest()
        public = bindings.crypto_core_ed25519_from_uniform(sha256(b"public of " + name.encode()).digest())
        self._secrets[public] = secret
        return public, secret

    def sign(self, secret: bytes, data: bytes) -> bytes:
        """See wire.Scheme."""
        return blake2b(data, key=secret).digest()

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        """See wire.Scheme."""
        secret = self._secrets.get(public_key)
        return secret is not None and blake2b(data, key=secret).digest() == signature


class MalleableHash(KeyedHash):
    """Every signing gives another signature, and any holder of a signature can change its last bytes
    (P12). As unforgeable as KeyedHash."""

    def __init__(self) -> None:
        super().__init__()
        self._signed = 0

    def sign(self, secret: bytes, data: bytes) -> bytes:
        """See wire.Scheme, but without "the same bytes every time"."""
        self._signed += 1
        return super().sign(secret, data)[:-LOOSE] + self._signed.to_bytes(LOOSE, "big")

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        """See wire.Scheme."""
        secret = self._secrets.get(public_key)
        return secret is not None and super().sign(secret, data)[:-LOOSE] == signature[:-LOOSE]


class Keyring:
    """Key pairs of all parties in one world, derived from their names: the same in every run."""

    def __init__(self, *, real: bool, malleable: bool = False) -> None:
        """`real`: Ed25519 as in production, else the keyed hash; `malleable`: its malleable variant."""
        self._pairs: dict[str, tuple[bytes, bytes]] = {}
        keyed = MalleableHash() if malleable else KeyedHash()
        self._keyed = None if real else keyed
        self.scheme: Scheme = ED25519 if self._keyed is None else self._keyed

    def pair(self, name: str) -> tuple[bytes, bytes]:
        """(public key, secret key)."""
        known = self._pairs.get(name)
        if known is None:
            seed = sha256(b"seed of " + name.encode()).digest()
            known = self._keyed.pair(name) if self._keyed else bindings.crypto_sign_seed_keypair(seed)
            self._pairs[name] = known
        return known
