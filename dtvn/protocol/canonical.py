"""Canonical bytes and hashes: the one encoding of all signed or hashed data.

Values are `msgspec.Struct` classes encoded as MessagePack arrays: no field names, integers in their
shortest form, no floats, no maps with free order. `decode` accepts only what `encode` would have
produced, so a value has exactly one byte form and a hash of bytes is an identity (R1).

A class may get *later fields* behind those of its first form, each with a default: it then says `first_form`,
the number of fields of its first form, and is encoded by `encode_trimmed`. `nested` are the positions of its
fields that hold such values, each one value or a tuple of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TypeVar

import msgspec

HASH_SIZE = 32
Value = TypeVar("Value")

_encoder = msgspec.msgpack.Encoder(order="sorted")
_decoders: dict[object, msgspec.msgpack.Decoder[object]] = {}


class CanonicalError(ValueError):
    """Bytes that are not the canonical form of the expected type (a peer's or disk's fault)."""


encode: Callable[[object], bytes] = _encoder.encode
"""Return the canonical bytes of a Struct, tuple, int, str, bytes, bool or None. This is the encoder's own
method: it runs several times for each operation, and a wrapper function would cost a third more."""


def encode_trimmed(value: msgspec.Struct) -> bytes:
    """The canonical bytes of a Struct that may have later fields: those at its end that have their default
    value are left out, so that a value of the first form keeps its bytes."""
    return _encoder.encode(trimmed(value))


def trimmed(value: object) -> object:
    """What `encode_trimmed` encodes: a tuple of the fields that are not left out, or the value itself if it
    has no later fields. For a value inside another one."""
    first_form: int | None = getattr(value, "first_form", None)
    if first_form is None or not isinstance(value, msgspec.Struct):
        return value
    fields = msgspec.structs.astuple(value)
    if nested := getattr(value, "nested", ()):
        fields = tuple(_inner(held) if place in nested else held for place, held in enumerate(fields))
    defaults = value.__struct_defaults__
    least = len(fields) - len(defaults)  # fields below have no default
    count = len(fields)
    while count > first_form and fields[count - 1] == defaults[count - 1 - least]:
        count -= 1
    return fields[:count]


def _inner(held: object) -> object:
    return tuple(map(trimmed, held)) if isinstance(held, tuple) else trimmed(held)


def decode(kind: type[Value], data: bytes) -> Value:
    """Decode `data` as `kind`; raise CanonicalError unless `encode` would give the same bytes.

    The comparison costs about a microsecond for a small message and refuses every alternative encoding
    (long integers, str for bytes, trailing bytes), so digests of received bytes are identities.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders.setdefault(kind, msgspec.msgpack.Decoder(kind))
    try:
        value = decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, ValueError) as error:
        raise CanonicalError(f"not a {kind.__name__}: {error}") from error
    encoded = encode_trimmed(value) if hasattr(kind, "first_form") else _encoder.encode(value)  # type: ignore[arg-type]
    if encoded != data:
        raise CanonicalError(f"not the canonical form of a {kind.__name__}")
    return value  # type: ignore[return-value]


def digest(data: bytes) -> bytes:
    """SHA-256 of raw bytes, 32 bytes."""
    return sha256(data).digest()


def tagged_digest(tag: str, *parts: bytes) -> bytes:
    """H(tag, parts): SHA-256 over a domain tag and parts, all of fixed length except the last.

    The tag ends with a NUL, so no tag is a prefix of another (R1: domain separation).
    """
    state = sha256(tag.encode("ascii") + b"\0")
    for part in parts:
        state.update(part)
    return state.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Inner node of every Merkle tree here: H(0x01, left, right) (R1; RFC 6962 section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


EMPTY_ROOT = sha256(b"").digest()


def merkle_root(hashes: Iterable[bytes]) -> bytes:
    """Root over already hashed leaves, in RFC 6962's shape (the left subtree is the largest full one)."""
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)  # the left one is longer if the number is odd
        paired = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]
