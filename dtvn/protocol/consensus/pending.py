"""A waiting request: its key, its share of the pool, and its size in a batch (R12, R20)."""

from __future__ import annotations

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Bundle
from dtvn.protocol.consensus.throughput import work_of
from dtvn.protocol.consensus.verified import VerifiedBundle

__all__ = [
    "BATCH_HEADER",
    "FRAMING",
    "UNOPENED",
    "Key",
    "Pending",
    "Share",
    "end_of",
    "key_of",
    "principal_of",
    "share_of",
]

Share = tuple[str, int, int] | str
"""A session of a principal, or the principal's name for requests without a session."""


def principal_of(share: Share) -> str:
    """The principal that a share belongs to."""
    return share if isinstance(share, str) else share[0]


Key = tuple[str, int, int, int] | bytes
UNOPENED = (0, 0)
"""Value of `Bundle.session` in a bundle that opens a session (R12)."""
FRAMING = 8
"""Bytes that a request takes in a batch besides its frame (MessagePack header of `bin`)."""
BATCH_HEADER = 32
"""Bytes of a batch besides its requests."""


def key_of(bundle: Bundle, digest: bytes) -> Key:
    """The identity under which a bundle may be executed only once: its number in a session, or the opening of
    a session (R12). It includes the signing principal, so that a principal that names another's session is
    not taken for its owner."""
    if bundle.session == UNOPENED:
        # Two openings that are the same operation to the state (R13: actor, nonce, body) have the same key,
        # so that a client that signs both cannot make a correct primary's proposal look like a repetition.
        # Openings that the state distinguishes need different keys: with the same key a backup could wait
        # for one opening while the primary holds the other.
        told = [msgspec.structs.replace(each, entry="", valid_until=0) for each in bundle.operations[:1]]
        parts = (bundle.principal.encode(), b"\0", canonical.encode(told))
        return canonical.tagged_digest("dtvn/v1/opening", *parts)
    return (bundle.principal, *bundle.session, bundle.number)


def end_of(bundle: Bundle) -> int:
    """Batch time after which no operation of the bundle can be executed any more, microseconds (R14)."""
    return max([operation.valid_until for operation in bundle.operations], default=0)


def share_of(bundle: Bundle) -> Share:
    """The share of the pool that a request counts against: its session's, with its signer; for an opening,
    its signer's."""
    return (bundle.principal, *bundle.session) if bundle.session != UNOPENED else bundle.principal


class Pending:
    """One waiting request."""

    __slots__ = (
        "arrived",
        "behind",
        "bundle",
        "calm",
        "forwarded",
        "gone",
        "key",
        "operations",
        "operations_behind",
        "passed_on",
        "proposed",
        "share",
        "size",
        "work",
    )

    def __init__(self, bundle: VerifiedBundle, key: Key, arrived: int, *, calm: bool) -> None:
        inner = bundle.bundle
        self.bundle = bundle
        self.behind: VerifiedBundle | None = None
        """Another bundle with the same key, used if this one leaves the pool and the key is not settled."""
        self.passed_on: int | None = None
        """The member from which the bundle behind came; None if it came from a client."""
        self.key = key
        self.share = share_of(inner)
        self.arrived = arrived
        self.operations = len(inner.operations)
        self.operations_behind = 0
        """Operations of the bundle behind this one."""
        self.size = len(bundle.frame) + FRAMING
        """Bytes in a batch, plus those of the bundle behind this one."""
        self.work = work_of(self.operations)
        self.calm = calm
        """Whether less than a full batch waited when it arrived, or its turn comes soon: a primary that is
        not slow proposes it at once (R32)."""
        self.forwarded = 0
        """Monotonic nanoseconds when it was last forwarded to a primary."""
        self.proposed = False
        self.gone = False
