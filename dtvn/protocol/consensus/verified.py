"""Types that only the door (`wire.door`) creates; handlers accept nothing else (P2).

A `Header` is decoded but not verified: only `wants(header)` may use it, to refuse the message. In a
`Verified` all signatures are checked, including those of nested statements and requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from dtvn.protocol.consensus.messages import Batch, Bundle

Message = TypeVar("Message")


class Peer(msgspec.Struct, frozen=True, gc=False):
    """The peer that the link authenticated: a member (its index) or a principal (`member`: None)."""

    name: str
    member: int | None
    route: bytes = b""
    """The address of this connection within the transport."""


class Inbound(msgspec.Struct, frozen=True, gc=False):
    """A raw frame and the link it came over."""

    peer: Peer
    frame: bytes
    taken: int = 0
    """Monotonic nanoseconds when the node's loop took the frame from its socket (R3); 0: just now."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """A decoded, unverified message, used only to refuse it before its signature is checked (R5)."""

    peer: Peer
    message: Any
    frame: bytes
    body: bytes
    """The signed bytes of the message (without tag and cluster)."""
    signature: bytes
    attachment: bytes


class VerifiedBundle(msgspec.Struct, frozen=True, gc=False):
    """A request whose principal's signature is checked."""

    bundle: Bundle
    digest: bytes
    """messages.bundle_digest of its signed body."""
    frame: bytes


class VerifiedBatch(msgspec.Struct, frozen=True, gc=False):
    """A batch body. `digest` is recomputed from it. The bundles' signatures are checked, unless the body came
    from the own ledger or is covered by a certificate (`trusted`); of a body under COMMITs a learner checks a
    sample."""

    batch: Batch
    digest: bytes
    body: bytes
    bundles: tuple[VerifiedBundle, ...]
    forged: VerifiedBundle | None = None
    """The first request of the sample whose signature is wrong."""


class Verified(msgspec.Struct, Generic[Message], frozen=True, gc=False):
    """A message with all its signatures checked (link messages: authenticated by their link)."""

    peer: Peer
    message: Message
    frame: bytes
    """The envelope without its attachment, as certificates store and relay it."""
    body_digest: bytes
    """Hash of the signed body: the identity of the statement. The signature is not part of it."""
    batch: VerifiedBatch | None = None
    """The batch of a PRE-PREPARE with attachment or of a SupplyBatch."""
    bundle: VerifiedBundle | None = None
    """The request, if the message is a Bundle."""
    nested: Mapping[bytes, Verified[Any]] = {}
    """Frame -> verified statement, for every statement that the message carries."""
    batches: tuple[VerifiedBatch | None, ...] = ()
    """The bodies of AppendEntries, or of Entries, in order (None: null request). Of Entries there are fewer
    than entries if the signer of a request is not known yet; their signatures are not checked if the entries
    came without COMMITs or with a certificate."""
