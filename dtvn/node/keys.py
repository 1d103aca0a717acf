"""A node's identity: its peer id, keys for development, and the stamp of a node that voted.

The key is one random Ed25519 seed (dtvn.net.keyfile); its CURVE key derives from it
(dtvn.net.curve). The peer id is libp2p's text form, so that the tools of the Go DTVN
and of this project show the same name for the same key.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from dtvn.files.whole import write_private
from dtvn.protocol.signatures import is_public_key

DEV_SALT = "dtvn-validator-key-v1"
"""Public, so every development key can be derived by anyone."""

PEER_ID_LENGTH_MAX = 64
"""Longest text that is read as a peer id; that of an Ed25519 key has 52 characters."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_IDENTITY_ED25519 = bytes.fromhex("002408011220")
"""Multihash `identity` of 36 bytes: a protobuf of key type Ed25519 with 32 bytes of key."""


def peer_id(public_key: bytes) -> str:
    """libp2p's name of a 32-byte Ed25519 public key: base58btc of its identity multihash."""
    data = _IDENTITY_ED25519 + public_key
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, remainder = divmod(number, 58)
        text = _ALPHABET[remainder] + text
    return _ALPHABET[0] * (len(data) - len(data.lstrip(b"\0"))) + text


def public_key_of_peer_id(text: str) -> bytes:
    """The 32-byte public key inside a peer id; raise ValueError if it is not of an Ed25519 key."""
    if len(text) > PEER_ID_LENGTH_MAX:  # the arithmetic below is quadratic, and the error repeats the text
        raise ValueError(f"peer id: {text[:PEER_ID_LENGTH_MAX]!r}... is too long")
    number = 0
    for character in text:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise ValueError(f"peer id: {character!r} is not a base58 character")
        number = number * 58 + digit
    data = b"\0" * (len(text) - len(text.lstrip(_ALPHABET[0]))) + number.to_bytes(
        (number.bit_length() + 7) // 8, "big"
    )
    if len(data) != 38 or not data.startswith(_IDENTITY_ED25519):
        raise ValueError(f"peer id: {text!r} is not that of an Ed25519 key")
    key = data[len(_IDENTITY_ED25519) :]
    if not is_public_key(key):
        raise ValueError(f"peer id: {text!r} holds 32 bytes that are not an Ed25519 key")
    return key


def dev_seed(name: str, salt: str = DEV_SALT) -> bytes:
    """The 32-byte development seed of a name: SHA-256(UTF-8(salt + name)), as in the Go DTVN.

    With the default salt this key is public knowledge. For tests and demonstrations only.
    """
    return hashlib.sha256((salt + name).encode()).digest()


class VotedStamp:
    """A file beside the key that records that this key has voted (R11).

    Written and synced before the first vote is sent. A node that finds the stamp but an empty
    ledger has lost its earlier votes, and must not vote again with this key: it could contradict
    itself. The stamp is stored with the key that it is about: an operator who deletes both gives the
    node a new identity.
    """

    def __init__(self, identity: Path) -> None:
        self.path = identity / "voted"
        self._present = self.path.exists()

    @property
    def present(self) -> bool:
        """True once the key may have voted."""
        return self._present

    def clear(self) -> None:
        """Remove the stamp, since the key that voted is replaced."""
        self.path.unlink(missing_ok=True)
        self._present = False

    def write(self) -> None:
        """Make the stamp durable; cheap if it exists already."""
        if self._present:
            return
        with suppress(FileExistsError):  # written since the check by another process: it says the same
            write_private(self.path, b"This key has voted. Its ledger must never be lost.\n")
        self._present = True
