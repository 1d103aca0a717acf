"""A connection is dead after a silence that fits its round trip (R31)."""

from __future__ import annotations

import pytest

from dtvn.net.silence import patience_ms


@pytest.mark.parametrize(
    ("round_trip_ms", "patience"),
    [(0, 2_000), (1, 2_000), (250, 2_000), (300, 2_400), (600, 4_800), (9_000, 20_000)],
)
def test_r31_patience_follows_the_round_trip(round_trip_ms: int, patience: int) -> None:
    assert patience_ms(round_trip_ms * 1_000) == patience
