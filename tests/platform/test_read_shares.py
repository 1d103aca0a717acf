"""Shares of the processor: a caller's dear reads wait, and then are refused; others' are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clock import SetClock
from validators.web.read_shares import ALL, CALLERS_MAX, CHEAP, EACH, SLACK, WAIT_MAX, ReadShares

DEAR = 0.1
HOUR = 3_600.0


@pytest.fixture
def clock() -> SetClock:
    return SetClock(monotonic=0)


@pytest.fixture
def shares(clock: SetClock) -> ReadShares:
    return ReadShares(clock.seconds)


def flood(shares: ReadShares, clock: SetClock, caller: str, seconds: float, cost: float = DEAR) -> float:
    """Processor time that a caller gets that asks again at once, refused or not."""
    until, used = clock.seconds() + seconds, 0.0
    while clock.seconds() < until:
        claim = shares.claim(caller)
        if claim.refused:
            clock.forward(0.01)
            continue
        clock.forward(claim.wait + cost)
        shares.settle(claim, cost)
        used += cost
    return used


def read(shares: ReadShares, caller: str, cost: float = DEAR) -> Iterator[float]:
    claim = shares.claim(caller)
    assert not claim.refused
    yield claim.wait
    shares.settle(claim, cost)


def test_a_flood_gets_its_share_of_the_processor_and_no_more(shares: ReadShares, clock: SetClock) -> None:
    used = flood(shares, clock, "weak", HOUR)
    assert used / HOUR == pytest.approx(EACH, rel=0.02)


def test_many_callers_get_one_share_together(shares: ReadShares, clock: SetClock) -> None:
    """Ten floods beside each other, each of a caller with its own share."""
    used, free_at = 0.0, dict.fromkeys(map(str, range(10)), 0.0)
    while clock.seconds() < HOUR:
        clock.forward(0.01)
        for caller, at in free_at.items():
            if at <= clock.seconds() and not (claim := shares.claim(caller)).refused:
                free_at[caller] = clock.seconds() + claim.wait + DEAR
                shares.settle(claim, DEAR)
                used += DEAR
    assert used / HOUR <= ALL * 1.1 + 10 * SLACK / HOUR


def test_reads_of_one_moment_are_spread_and_then_refused(shares: ReadShares, clock: SetClock) -> None:
    flood(shares, clock, "weak", 60.0)
    claims = [shares.claim("weak") for _ in range(12)]
    waits = [claim.wait for claim in claims if not claim.refused]
    assert waits == sorted(set(waits)), "no two begin together"
    assert max(waits) <= WAIT_MAX
    assert claims[-1].refused
    assert claims[-1].wait > WAIT_MAX


def test_a_person_never_waits_for_pages(shares: ReadShares, clock: SetClock) -> None:
    for _ in range(200):
        clock.forward(2.0)
        for wait in read(shares, "person", 0.1):
            assert wait == 0.0


def test_a_caller_that_used_little_is_not_refused_beside_floods(shares: ReadShares, clock: SetClock) -> None:
    for wait in read(shares, "person"):
        assert wait == 0.0
    for number in range(10):
        flood(shares, clock, f"caller {number}", 5.0)
    for wait in read(shares, "person"):
        assert wait <= WAIT_MAX


def test_cheap_reads_are_not_counted(shares: ReadShares, clock: SetClock) -> None:
    assert flood(shares, clock, "gate", 10.0, CHEAP / 2) == pytest.approx(10.0, rel=0.01)


def test_a_read_that_did_not_take_place_costs_nothing(shares: ReadShares, clock: SetClock) -> None:
    flood(shares, clock, "weak", 60.0)
    before = shares.claim("weak")
    shares.settle(before, 0.0)
    clock.forward(before.wait)
    assert shares.claim("weak").wait == pytest.approx(0.0, abs=1e-6)


def test_exports_pause_once_their_caller_used_its_share(shares: ReadShares, clock: SetClock) -> None:
    spent = 0.0
    while clock.seconds() < HOUR:
        clock.forward(shares.pause("organiser", 0.05) + 0.05)
        spent += 0.05
    assert spent / HOUR == pytest.approx(EACH, rel=0.02)


def test_callers_are_kept_in_bounded_memory(shares: ReadShares, clock: SetClock) -> None:
    for number in range(CALLERS_MAX + 10):
        shares.settle(shares.claim(f"caller {number}"), DEAR)
    assert len(shares) == CALLERS_MAX
