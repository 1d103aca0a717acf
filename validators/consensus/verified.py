"""Types that only the door (`wire.door`) makes: handlers accept nothing else (PITFALLS row 2).

`Header` is decoded but not verified: `wants(header)` may refuse on it, nothing else may use it.
`Verified` has a checked signature, nested statements and request signatures included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from validators.consensus.messages import Batch, Bundle

__all__ = ["Header", "Inbound", "Peer", "Verified", "VerifiedBatch", "VerifiedBundle"]

Message = TypeVar("Message")


class Peer(msgspec.Struct, frozen=True, gc=False):
    """Whom the link authenticated: a member (index) or a principal (member None)."""

    name: str
    member: int | None
    route: bytes = b""
    """The transport's own address of this connection."""


class Inbound(msgspec.Struct, frozen=True, gc=False):
    """A raw frame and the link it came over."""

    peer: Peer
    frame: bytes


class Header(msgspec.Struct, frozen=True, gc=False):
    """A decoded, unverified message: good for cheap refusal only (R5)."""

    peer: Peer
    message: Any
    frame: bytes
    body: bytes
    """The signed bytes of the message (without tag and cluster)."""
    signature: bytes
    attachment: bytes


class VerifiedBundle(msgspec.Struct, frozen=True, gc=False):
    """A request whose principal's signature was checked."""

    bundle: Bundle
    digest: bytes
    """messages.bundle_digest of its signed body."""
    frame: bytes


class VerifiedBatch(msgspec.Struct, frozen=True, gc=False):
    """A batch body; `digest` is recomputed from it, the bundles' signatures are checked (or, when
    `trusted`, were not: it came from the own ledger or is covered by a certificate)."""

    batch: Batch
    digest: bytes
    body: bytes
    bundles: tuple[VerifiedBundle, ...]


class Verified(msgspec.Struct, Generic[Message], frozen=True, gc=False):
    """A message with all its signatures checked (link messages: authenticated by their link)."""

    peer: Peer
    message: Message
    frame: bytes
    """The envelope without its attachment: what certificates keep and relay."""
    body_digest: bytes
    """Hash of the signed body: identity of a statement (never of a signature)."""
    batch: VerifiedBatch | None = None
    """Of a PRE-PREPARE with attachment, or of SupplyBatch."""
    bundle: VerifiedBundle | None = None
    """Of a Bundle."""
    nested: Mapping[bytes, Verified[Any]] = {}
    """By frame: every statement the message carries."""
    batches: tuple[VerifiedBatch | None, ...] = ()
    """Of Entries: the bodies, in order (None: null request); fewer than entries where a request's signer
    is not known yet. Request signatures are unchecked where no COMMITs or a certificate came with them."""
