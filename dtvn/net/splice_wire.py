"""What a splice and its listeners say to each other: short frames, and the signatures that bind a
registration to this splice and to fresh nonces of both sides.

    listener                              splice
    Hello(nonce)            ->
                            <-            Challenge(nonce)
    Register(key, wanted, signature)  ->
                            <-            Registered(host, port, signature)   or Refused
                            <-            Ping, answered by Pong, both ways alive
                            <-            Open(token): somebody dials you
    Data(token, signature)  ->            on a new connection; from here on bytes of the dialler
    Declined(token)         ->            on the first one: the node does not listen

A frame is its length (two bytes, big-endian), its kind (one byte) and the canonical form of its body. The
frames are not encrypted: they hold no secret that is worth anything without the listener's key.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from dtvn.protocol import canonical

FRAME_MAX = 512
"""Bytes of a frame without its length: more is refused before it is read."""
NONCE_SIZE = 32

Nonce = Annotated[bytes, msgspec.Meta(min_length=NONCE_SIZE, max_length=NONCE_SIZE)]
Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class SpliceError(Exception):
    """The other side broke the protocol, or refused; the text is a sentence."""


class Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What every frame's body is."""


class Hello(Body, frozen=True):
    """Opens a registration; `nonce`: 32 fresh random bytes of the listener."""

    nonce: Nonce


class Challenge(Body, frozen=True):
    """The splice's own 32 fresh random bytes."""

    nonce: Nonce


class Register(Body, frozen=True):
    """The listener's proof that it holds the key. `wanted`: the port that it had before, 0 for none."""

    key: Key
    wanted: Port
    signature: Signature


class Registered(Body, frozen=True):
    """The place at which the listener is dialled from now on. `host`: "" for the address at which the
    listener reached the splice."""

    host: Annotated[str, msgspec.Meta(max_length=64)]
    port: Port
    signature: Signature


class Refused(Body, frozen=True):
    """Why not, as a code of small letters and as a sentence."""

    code: Annotated[str, msgspec.Meta(max_length=32)]
    text: Annotated[str, msgspec.Meta(max_length=256)]


class Ping(Body, frozen=True):
    """Is the listener there?"""


class Pong(Body, frozen=True):
    """It is."""


class Open(Body, frozen=True):
    """Somebody dials: connect with this token, which is good once and for seconds."""

    token: Nonce


class Data(Body, frozen=True):
    """First frame of a connection back; the bytes of the dialler follow in both directions."""

    token: Nonce
    signature: Signature


class Declined(Body, frozen=True):
    """The listener cannot take that dialler now."""

    token: Nonce


_KINDS: tuple[type[Body], ...] = (
    Hello, Challenge, Register, Registered, Refused, Ping, Pong, Open, Data, Declined,
)  # fmt: skip
_NUMBER = {kind: number for number, kind in enumerate(_KINDS, start=1)}


def encoded(body: Body) -> bytes:
    """A frame with its length."""
    data = bytes((_NUMBER[type(body)],)) + canonical.encode(body)
    return len(data).to_bytes(2, "big") + data


def decoded(data: bytes) -> Body:
    """A frame without its length; raise SpliceError for bytes that `encoded` does not make."""
    if not data or not 1 <= data[0] <= len(_KINDS):
        raise SpliceError("a frame of an unknown kind")
    try:
        return canonical.decode(_KINDS[data[0] - 1], data[1:])
    except canonical.CanonicalError as error:
        raise SpliceError(f"a malformed frame: {error}") from error


async def read_frame(reader: asyncio.StreamReader) -> Body:
    """The next frame; raise SpliceError for a malformed one or the end of the connection."""
    try:
        size = int.from_bytes(await reader.readexactly(2), "big")
        if not 1 <= size <= FRAME_MAX:
            raise SpliceError(f"a frame of {size} bytes")
        return decoded(await reader.readexactly(size))
    except asyncio.IncompleteReadError as error:
        raise SpliceError("the connection ended") from error


def registering(splice: bytes, splice_nonce: bytes, nonce: bytes, key: bytes, wanted: int) -> bytes:
    """What a listener signs: the splice that it means, both nonces, its key and the port that it asks for."""
    parts = (splice, splice_nonce, nonce, key, wanted.to_bytes(2, "big"))
    return canonical.tagged_digest("dtvn/v1/splice/register", *parts)


def granting(splice_nonce: bytes, nonce: bytes, key: bytes, host: str, port: int) -> bytes:
    """What the splice signs: to this registration, this place."""
    parts = (splice_nonce, nonce, key, port.to_bytes(2, "big"), host.encode())
    return canonical.tagged_digest("dtvn/v1/splice/registered", *parts)


def connecting(splice: bytes, key: bytes, token: bytes) -> bytes:
    """What a listener signs on a connection back: who reads its token on the way cannot use it."""
    return canonical.tagged_digest("dtvn/v1/splice/data", splice, key, token)
