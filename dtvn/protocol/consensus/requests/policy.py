"""The interface of the policy for requests: the only file of this package that the protocol may import.

The policy decides which requests wait, in which order the primary proposes them, and when a primary is too
slow or unfair. No vote depends on it: a replica prepares any correct batch, in any order that a primary
proposes. A policy may be unfair to clients; it cannot make two replicas execute different batches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import Bundle
from dtvn.protocol.consensus.request_key import Key
from dtvn.protocol.consensus.verified import Peer, Verified, VerifiedBatch, VerifiedBundle


class Policy(Protocol):
    """Takes requests in, keeps those that wait, chooses the next batch, and measures the primary. All times
    are monotonic nanoseconds; the current one is `State.now`."""

    # --- requests that arrive -----------------------------------------------------------------------

    def refuse_bundle(self, message: Bundle) -> Reason | None:
        """Why to refuse a request before its signature is checked, or None (R5). Changes no state."""

    def on_bundle(self, verified: Verified[Bundle]) -> None:
        """Takes a signed request in, or refuses it."""

    def on_refused(self, message: Bundle, digest: bytes, peer: Peer, reason: Reason) -> None:
        """Uses a request that `refuse_bundle` refused: it waits where it came from too, or is settled and
        answered."""

    def requeue(self, bundles: Iterable[VerifiedBundle]) -> None:
        """Takes requests back whose slots a view change or an epoch change dropped (R33, R35)."""

    # --- requests that wait -------------------------------------------------------------------------

    def waiting(self) -> Iterable[VerifiedBundle]:
        """All waiting requests, in order of arrival."""

    def size(self) -> tuple[int, int]:
        """Number of waiting requests, and of their operations."""

    def oldest_wait(self) -> int | None:
        """Time since when the oldest waiting request waits; None if no request waits."""

    def oldest_key(self) -> Key | None:
        """Key of the oldest waiting request; None if no request waits."""

    def waits(self, key: Key) -> bool:
        """Whether a request with this key waits."""

    def forward_waiting(self) -> None:
        """Forwards the waiting requests to the primary of the view that was just entered."""

    def tick(self) -> None:
        """Drops waiting requests that the state has settled, and forwards old ones to the primary again."""

    # --- the primary's next batch -------------------------------------------------------------------

    def lead(self) -> None:
        """This replica is the primary: all waiting requests are to be proposed."""

    def follow(self) -> None:
        """This replica is not the primary: it proposes nothing."""

    def has_unproposed(self) -> bool:
        """Whether a request waits to be proposed by this replica; False unless it leads."""

    def ready_at(self, in_flight: int) -> int | None:
        """Time when the next batch may be proposed, with `in_flight` sequences not executed yet; None if that
        depends on more than time."""

    def next_batch(self) -> list[VerifiedBundle]:
        """Takes the requests of the next batch, at most as large as `Config` allows; a reconfiguration is
        alone (R35). Empty if the state has settled all that were chosen."""

    # --- what happens -------------------------------------------------------------------------------

    def on_executed(self, sequence: int, batch: VerifiedBatch) -> None:
        """A batch was executed, or its requests were skipped: they no longer wait."""

    def on_answered(self, request: bytes, frame: bytes) -> None:
        """The Reply to an executed request is sent: `frame`, which may answer retries too (R16)."""

    def on_entered(self) -> None:
        """A view is entered, or the replica starts: the primary is measured anew."""

    def on_left(self, *, slow: bool) -> None:
        """The view is left. `slow`: this replica, or a member that it joined, found its primary slow."""

    def shift(self, gap: int) -> None:
        """Moves all times by a pause of this process, for which no primary is to blame (R31)."""

    def primary_fault(self) -> str | None:
        """causes.SLOW or causes.UNFAIR if the primary of this view should be deposed, else None."""
