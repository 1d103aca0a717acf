"""What is promised about the rates of the rules, in the units of the same run."""

from __future__ import annotations

import pytest

from benchmarks import events
from dtvn.events.rules import Stream


def test_the_conversation_that_is_measured_is_valid() -> None:
    stream = Stream()
    assert all(stream.feed(data).violations == () for data in events.conversation())
    assert stream.end() == ()


@pytest.mark.bench
def test_rules_keep_their_rate() -> None:
    found = events.measure()
    assert found["rules_to_decode"] >= 0.35, found
    assert found["rules_per_second"] * found["check_us"] / 60 >= 400_000, found
