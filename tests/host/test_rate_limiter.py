"""A bucket drains at its rate, whatever the rhythm of the frames (P15)."""

from __future__ import annotations

import pytest

from dtvn.protocol.host.rate_limiter import SECOND, RateLimiter

MINUTE = 60


@pytest.mark.parametrize("offered", [100, 128, 129, 140, 200, 5_000])
def test_a_peer_gets_its_rate_however_close_its_frames_come(offered: int) -> None:
    limiter = RateLimiter(per_second=128, burst=512)
    taken = sum(limiter.takes("peer", count * SECOND // offered) for count in range(MINUTE * offered))
    assert taken == pytest.approx(min(offered * MINUTE, 512 + 128 * MINUTE), abs=1)


def test_a_burst_is_taken_whole_and_the_next_frame_when_one_has_drained() -> None:
    limiter = RateLimiter(per_second=10, burst=3)
    assert [limiter.takes("peer", 0) for _ in range(4)] == [True, True, True, False]
    assert not limiter.takes("peer", SECOND // 10 - 1)
    assert limiter.allows("peer", SECOND // 10)
    assert limiter.takes("other", 0), "each has its own"


def test_what_was_counted_beyond_the_burst_drains_first() -> None:
    limiter = RateLimiter(per_second=10, burst=3)
    limiter.consume("peer", 5, 0)
    assert [limiter.allows("peer", after * SECOND // 10) for after in (2, 3)] == [False, True]
