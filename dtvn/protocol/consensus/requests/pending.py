"""A waiting request: its share of the pool, its work and its wait (R20, R30)."""

from __future__ import annotations

from dtvn.protocol.consensus.messages import UNOPENED, Bundle
from dtvn.protocol.consensus.request_key import FRAMING, Key
from dtvn.protocol.consensus.requests.throughput import work_of
from dtvn.protocol.consensus.verified import VerifiedBundle

Share = tuple[str, int, int] | str
"""A session of a principal, or the principal's name for requests without a session."""


def principal_of(share: Share) -> str:
    """The principal that a share belongs to."""
    return share if isinstance(share, str) else share[0]


def share_of(bundle: Bundle) -> Share:
    """The share of the pool that a request counts against: its session's, with its signer; for an opening,
    its signer's."""
    return (bundle.principal, *bundle.session) if bundle.session != UNOPENED else bundle.principal


class Pending:
    """One waiting request."""

    __slots__ = (
        "ahead",
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
        "told_by",
        "work",
    )

    def __init__(self, bundle: VerifiedBundle, key: Key, arrived: int, *, calm: bool, ahead: int = 0) -> None:
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
        self.ahead = ahead
        """Small batches (LEAST work in `throughput`, or one request) that go before it, since its own
        principal's earlier requests wait here and other principals have their turns too; 0 if only one
        principal is active (R32)."""
        self.told_by: tuple[int, ...] = ()
        """Members known to wait for it (only while leading)."""
        self.forwarded = 0
        """Monotonic nanoseconds when it was last forwarded to a primary."""
        self.proposed = False
        self.gone = False
