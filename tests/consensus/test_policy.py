"""The policy's Protocol is complete: consensus runs with another policy of a few lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from dtvn.protocol.consensus import shared_parts
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import Bundle
from dtvn.protocol.consensus.request_key import Key, key_of
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Peer, Verified, VerifiedBatch, VerifiedBundle
from simulator.scenario import play

SCENARIOS = Path(__file__).parent.parent / "scenarios"


class FirstComeFirstServed(Policy):
    """One queue without bounds: no shares, no admission, no monitor of the primary."""

    built = 0

    def __init__(self, state: State) -> None:
        type(self).built += 1
        self.state = state
        self.queue: dict[Key, tuple[VerifiedBundle, int]] = {}
        self.proposed: set[Key] | None = None
        """Keys already proposed while this replica leads; None while it follows."""

    def refuse_bundle(self, message: Bundle) -> Reason | None:
        return None if message.operations else Reason.MALFORMED

    def on_bundle(self, verified: Verified[Bundle]) -> None:
        bundle = verified.bundle
        assert bundle is not None
        if self.state.application.repeated(bundle.bundle) is None:
            self.requeue([bundle])
            if not self.state.is_primary:
                self.state.outbox.send(self.state.views.primary, bundle.frame)

    def on_refused(self, message: Bundle, digest: bytes, peer: Peer, reason: Reason) -> None:
        pass

    def requeue(self, bundles: Iterable[VerifiedBundle]) -> None:
        for bundle in bundles:
            key = key_of(bundle.bundle)
            self.queue.setdefault(key, (bundle, self.state.now.monotonic))

    def waiting(self) -> Iterable[VerifiedBundle]:
        return [bundle for bundle, _arrived in self.queue.values()]

    def size(self) -> tuple[int, int]:
        return len(self.queue), sum(len(bundle.bundle.operations) for bundle in self.waiting())

    def oldest_wait(self) -> int | None:
        return next((arrived for _bundle, arrived in self.queue.values()), None)

    def oldest_key(self) -> Key | None:
        return next(iter(self.queue), None)

    def waits(self, key: Key) -> bool:
        return key in self.queue

    def forward_waiting(self) -> None:
        for bundle in self.waiting() if not self.state.is_primary else ():
            self.state.outbox.send(self.state.views.primary, bundle.frame)

    def tick(self) -> None:
        pass

    def lead(self) -> None:
        self.proposed = set()

    def follow(self) -> None:
        self.proposed = None

    def has_unproposed(self) -> bool:
        return self.proposed is not None and len(self.queue) > len(self.proposed)

    def ready_at(self, in_flight: int) -> int | None:
        return self.state.now.monotonic

    def next_batch(self) -> list[VerifiedBundle]:
        assert self.proposed is not None
        key = next(key for key in self.queue if key not in self.proposed)
        self.proposed.add(key)
        return [self.queue[key][0]]

    def on_executed(self, sequence: int, batch: VerifiedBatch) -> None:
        for bundle in batch.bundles:
            key = key_of(bundle.bundle)
            self.queue.pop(key, None)
            if self.proposed is not None:
                self.proposed.discard(key)

    def on_answered(self, request: bytes, frame: bytes) -> None:
        pass

    def on_entered(self) -> None:
        pass

    def on_left(self, *, slow: bool) -> None:
        self.proposed = None

    def shift(self, gap: int) -> None:
        pass

    def primary_fault(self) -> str | None:
        return None


@pytest.mark.parametrize(
    "story", ["normal_case", "alone", "all_die_before_execution", "one_way_link", "restart_says_the_same"]
)
def test_another_policy_gives_the_same_transcript(monkeypatch: pytest.MonkeyPatch, story: str) -> None:
    """With one request at a time, order and bounds change nothing."""
    monkeypatch.setattr(shared_parts, "FairPolicy", FirstComeFirstServed)
    monkeypatch.setattr(FirstComeFirstServed, "built", 0)
    told = (SCENARIOS / f"{story}.txt").read_text(encoding="utf-8")
    assert play(told) == told
    assert FirstComeFirstServed.built, "the other policy was in use"
