"""What `observe` costs an event on its way: the same stream with and without it, in turn."""

from __future__ import annotations

import pytest

from benchmarks.event_proxy import measure

pytestmark = [pytest.mark.asyncio, pytest.mark.bench]


async def test_observe_adds_less_than_a_millisecond_at_p50() -> None:
    found = await measure()
    assert found["added_p50_ms"] < 1, found
