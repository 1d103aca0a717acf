"""The interface of the replicated application as consensus sees it (dtvn.machine implements it).

Execution reads nothing but its own state, the batch, sequence and effective timestamp (R22).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

import msgspec

from dtvn.protocol.consensus.effects import ApplicationChange, Reason
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Bundle, Outcome
from dtvn.protocol.consensus.verified import VerifiedBundle

Item = tuple[bytes, ...]
"""One leaf of the state with the data it covers, as a snapshot carries it; the application defines its
form."""


class BundleResult(msgspec.Struct, frozen=True, gc=False):
    """Outcomes of one executed bundle; `subtree` is the Merkle root over its operations' leaves."""

    first_index: int
    """Index of the bundle's first operation in the batch."""
    outcomes: tuple[Outcome, ...]
    subtree: bytes


class BatchResult(msgspec.Struct, frozen=True, gc=False):
    """Results of one batch, one per request; None: skipped (duplicate, unknown session; R12, R19).

    `results_root` = canonical.merkle_root of the subtrees of executed bundles (EMPTY_ROOT if there are none).
    """

    results: tuple[BundleResult | None, ...]
    results_root: bytes


class Repeated(msgspec.Struct, frozen=True, gc=False):
    """The place of an executed bundle in the log (R13: code, sequence, index; never reply bodies)."""

    digest: bytes
    sequence: int
    first_index: int
    codes: tuple[str, ...]


class Staging(Protocol):
    """A snapshot that is being received (R23, P17): the manifest proves each group."""

    @property
    def missing(self) -> Mapping[int, None]:
        """Groups not received yet, ascending; then parts of groups that are sent in parts (parts.py)."""

    def adopt(self, other: Self) -> None:
        """Take over the groups that another snapshot has in common with this one."""

    def add(self, number: int, items: tuple[Item, ...]) -> bool:
        """Add a group, or a part of one; False if it does not match the manifest."""

    def rows(self) -> Iterable[ApplicationChange]:
        """The whole state as the ledger stores it, once no group is missing; may be called again."""

    def state(self) -> Iterable[ApplicationChange]:
        """The same as `Application.load` takes it with the least work."""


class Application(Protocol):
    """A deterministic state machine with sessions, nonces, principals and tickets."""

    def execute(self, bundles: Sequence[VerifiedBundle], *, sequence: int, timestamp: int) -> BatchResult:
        """Apply a batch in order; never raises on content. `timestamp` is effective, microseconds."""

    def refuse(self, bundle: Bundle, timestamp: int) -> Reason | None:
        """Check a bundle against the executed state: unknown session, number outside the window, expired.
        Returns None also for a bundle that was executed (see `repeated`)."""

    def repeated(self, bundle: Bundle) -> Repeated | None:
        """Place where this (session, number) was executed; None if it was not."""

    def due(self) -> int | None:
        """Batch time in microseconds from which the state changes without any request, so that a batch is
        needed even if no request waits; None if the state changes by requests only."""

    def size(self) -> int:
        """Number of tickets in the state."""

    def root(self) -> bytes:
        """State root after the last execution (R24, R25)."""

    def freeze(self, sequence: int) -> bytes:
        """Return the state root, like `root`. Until the next freeze this state can be pinned by its
        sequence."""

    def pin(self, sequence: int) -> bytes | None:
        """Keep the frozen state of `sequence` readable while execution goes on. Returns its manifest, or
        None if it is not the newest frozen state. One state is pinned at a time; the application may
        release it when keeping it takes too much memory."""

    def read_pinned(self, number: int) -> tuple[Item, ...] | None:
        """A group of the pinned state, or a part of one (parts.py); None if no state is pinned."""

    def release(self) -> None:
        """Release the pinned state."""

    def staging(self, manifest: bytes, root: bytes) -> Staging | None:
        """Begin to receive the state with this root; None if the manifest does not hash to the root."""

    def membership(self) -> Membership:
        """The newest epoch that the executed log has begun (R35). Cheap: called after each batch."""

    def epoch(self, number: int) -> Membership | None:
        """The epoch with this number; None if the executed log has not begun it."""

    def governs(self, principal: str) -> bool:
        """Whether the principal with this wire name may change the membership in the executed state."""

    def principal_key(self, name: str) -> bytes | None:
        """Current public key of a principal, or None (R15)."""

    def changes(self) -> list[ApplicationChange]:
        """Rows changed since the last call (the last value per key); clears the list (R9)."""

    def load(self, rows: Iterable[ApplicationChange]) -> None:
        """Replace the whole state by materialised rows (R9)."""
