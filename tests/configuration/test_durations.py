"""Durations in Go's form."""

from __future__ import annotations

import pytest

from dtvn.protocol.durations import format_duration, parse_duration
from tests.support.table import table


@table("text", ["", "5", "s", "5 s", "1s2", "1e3s", "1d", "--1s", "٣s"], count=9)
def test_durations_that_go_refuses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@table("text", ["300ms", "5s", "1m", "2h", "7ns", "0s", "90s"], count=7)
def test_a_formatted_duration_is_parsed_to_the_same_value(text: str) -> None:
    assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)
