"""The signed item: one value of one author, which replaces that author's older ones under its key (R46).

A store keeps the newest item of each (author, kind, key): a last-writer register, whose merge is
commutative, associative and idempotent whatever carried the item. Views over the items of several authors
are computed, never stored or sent.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.scheme import ED25519, SIGNATURE_SIZE, Scheme
from dtvn.protocol.signatures import is_public_key

KEY_SIZE = 32
VALUE_BYTES_MAX = 32 * 1024
"""Most bytes of a value: an item fits one message of the overlay."""
TIME_MAX = 2**62

Key = Annotated[bytes, msgspec.Meta(min_length=KEY_SIZE, max_length=KEY_SIZE)]
Signature = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_SIZE, max_length=SIGNATURE_SIZE)]
Name = Annotated[str, msgspec.Meta(max_length=256)]
Time = Annotated[int, msgspec.Meta(ge=0, le=TIME_MAX)]


class ItemError(ValueError):
    """An item that its author did not sign, or that no author would; the text says why."""


class Item(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One signed value. Its identity is (author, kind, key); `version` orders the author's own values."""

    author: Key
    """Ed25519 public key of who says it."""
    kind: Name
    """What `value` is: "address", "owed", ..."""
    key: Name
    """Which one, in the author's own space; "" if the author has only one of this kind."""
    version: Time
    """When it was written, Unix microseconds by the author's hybrid clock: a higher one replaces a lower
    one."""
    value: Annotated[bytes, msgspec.Meta(max_length=VALUE_BYTES_MAX)]
    """Canonical bytes of the kind's own structure; b"" of a tombstone."""
    deleted: bool
    """A tombstone: the author's key has no value any more."""
    signature: Signature


def sign(
    cluster: bytes,
    secret: bytes,
    *,
    kind: str,
    key: str,
    version: int,
    value: bytes,
    deleted: bool = False,
    scheme: Scheme = ED25519,
) -> Item:
    """An item of the author with this 64-byte secret key. `cluster`: id of the cluster, 32 bytes, without
    which an item of one cluster would be one of another."""
    author = secret[KEY_SIZE:]
    unsigned = Item(author, kind, key, version, value, deleted, bytes(SIGNATURE_SIZE))
    return msgspec.structs.replace(unsigned, signature=scheme.sign(secret, said(cluster, unsigned)))


def said(cluster: bytes, item: Item) -> bytes:
    """The bytes that the author signs: everything but the signature."""
    fields = msgspec.structs.astuple(item)[:-1]
    return canonical.tagged_digest("dtvn/v2/item", cluster, canonical.encode(fields))


def checked(cluster: bytes, item: Item, scheme: Scheme = ED25519) -> Item:
    """The item, once its signature and form are checked; raise ItemError."""
    if not is_public_key(item.author):
        raise ItemError("author: not a public key")
    if item.deleted and item.value:
        raise ItemError("value: a tombstone has none")
    if not scheme.verify(item.author, said(cluster, item), item.signature):
        raise ItemError("signature: not the author's")
    return item


def digest_of(item: Item) -> bytes:
    """SHA-256 over the whole item, signature included: equal digests are equal items."""
    return canonical.digest(canonical.encode(item))


def replaces(item: Item, held: Item) -> bool:
    """Whether an item takes the place of another one of the same identity: it has the higher version; of an
    author that signed two of one version the larger digest, which all peers choose alike."""
    if item.version != held.version:
        return item.version > held.version
    return item != held and digest_of(item) > digest_of(held)
