"""The face of the replicated application towards consensus (tickets.machine implements it).

Execution reads nothing but its own state, the batch, sequence and effective timestamp (R22).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

import msgspec

from validators.consensus.effects import ApplicationChange, Reason
from validators.consensus.membership import Membership
from validators.consensus.messages import Bundle, Outcome
from validators.consensus.verified import VerifiedBundle

__all__ = ["Application", "BundleResult", "Execution", "Item", "Repeated", "Staging"]

Item = tuple[bytes, ...]
"""One leaf of the state with what it covers, as a snapshot carries it; its form is the application's."""


class BundleResult(msgspec.Struct, frozen=True, gc=False):
    """Outcomes of one executed bundle; `subtree` is the Merkle root over its operations' leaves."""

    first_index: int
    """Index in the batch of its first operation."""
    outcomes: tuple[Outcome, ...]
    subtree: bytes


class Execution(msgspec.Struct, frozen=True, gc=False):
    """Results of one batch, one per request; None: skipped (duplicate, unknown session; R12, R19).

    `results_root` = canonical.merkle_root of the subtrees of executed bundles (EMPTY_ROOT: none).
    """

    results: tuple[BundleResult | None, ...]
    results_root: bytes


class Repeated(msgspec.Struct, frozen=True, gc=False):
    """Where an executed bundle stands (R13: code, sequence, index; never reply bodies)."""

    digest: bytes
    sequence: int
    first_index: int
    codes: tuple[str, ...]


class Staging(Protocol):
    """A snapshot on its way in (R23, PITFALLS row 17): each group proves itself by the manifest."""

    @property
    def missing(self) -> Mapping[int, None]:
        """Groups that are not here yet, ascending; then parts of those that come in parts (parts.py)."""

    def adopt(self, other: Self) -> None:
        """Take over what another snapshot has in common with this one."""

    def add(self, number: int, items: tuple[Item, ...]) -> bool:
        """Take a group, or a part of one; False when it is not what the manifest says."""

    def rows(self) -> Iterable[ApplicationChange]:
        """The whole state, once nothing is missing; may be asked again."""


class Application(Protocol):
    """A deterministic state machine with sessions, nonces, principals and tickets."""

    def execute(self, bundles: Sequence[VerifiedBundle], *, sequence: int, timestamp: int) -> Execution:
        """Apply a batch in order; never raises on content. `timestamp` is effective, microseconds."""

    def refuse(self, bundle: Bundle, timestamp: int) -> Reason | None:
        """Door check against the executed state: unknown session, number outside the window, expired.
        None also for a bundle that was executed (ask `repeated`)."""

    def repeated(self, bundle: Bundle) -> Repeated | None:
        """Where this (session, number) was executed, if it was."""

    def size(self) -> int:
        """Tickets in the state."""

    def root(self) -> bytes:
        """State root after the last execution (R24, R25)."""

    def freeze(self, sequence: int) -> bytes:
        """The state root, as `root`; and from now on this state, named by its sequence, can be pinned,
        until the next freeze."""

    def pin(self, sequence: int) -> bytes | None:
        """Keep the frozen state of `sequence` readable while execution goes on; returns its manifest, or
        None when it is not the newest frozen one. One state is pinned at a time; it may be let go when
        it has come to keep too much."""

    def read_pinned(self, number: int) -> tuple[Item, ...] | None:
        """A group of the pinned state, or a part of one (parts.py); None when none is pinned."""

    def release(self) -> None:
        """Let the pinned state go."""

    def staging(self, manifest: bytes, root: bytes) -> Staging | None:
        """Begin to gather the state whose root this is; None when the manifest is not its."""

    def membership(self) -> Membership:
        """The newest epoch that the executed log has begun (R35). Cheap: asked after each batch."""

    def epoch(self, number: int) -> Membership | None:
        """An epoch that the executed log has begun, or None."""

    def governs(self, principal: str) -> bool:
        """Whether this name on the wire may change the membership as of the executed state."""

    def principal_key(self, name: str) -> bytes | None:
        """Public key of a principal now, or None (R15)."""

    def changes(self) -> list[ApplicationChange]:
        """Rows changed since the last call (the last value per key); clears the list (R9)."""

    def load(self, rows: Iterable[ApplicationChange]) -> None:
        """Replace the whole state by materialised rows (R9)."""
