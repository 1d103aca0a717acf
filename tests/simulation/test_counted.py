"""A total that is not the sum of what is kept is noticed, long before its table is full (R30; P15)."""

from __future__ import annotations

import pytest

from simulator.mutant_hunt import hunt


@pytest.mark.parametrize("kept", ["requests", "bodies", "calls", "shares-of-links"])
def test_what_is_not_given_back_is_noticed(kept: str) -> None:
    assert hunt(f"{kept}-not-given-back").checker == "counted"
