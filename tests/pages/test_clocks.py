"""Times in forms, on the clocks of an event's zone."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from dtvn.api.errors import InvalidRequest
from tests.support.table import table
from tickets.pages import clocks

BERLIN = ZoneInfo("Europe/Berlin")


@table(
    ("text", "seconds"),
    [
        ("", 0),
        ("2026-06-05T20:00", 1_780_682_400),
        ("2026-06-05T20:00:07", 1_780_682_407),
        ("2026-12-05T20:00", 1_796_497_200),
        ("2026-10-25T02:30", 1_792_888_200),
        ("1970-01-01T01:00:01", 1),
    ],
    count=6,
)
def test_a_time_is_shown_as_it_was_typed(text: str, seconds: int) -> None:
    assert clocks.seconds(text, BERLIN, "It") == seconds
    assert clocks.microseconds(text, BERLIN, "It") == seconds * 1_000_000
    assert clocks.shown(seconds * 1_000_000, BERLIN) == text


@table(
    ("text", "why"),
    [
        ("soon", "must be a date and a time."),
        ("2026-02-30T10:00", "must be a date and a time."),
        ("0001-01-01T00:00", "must be a date and a time."),
        ("2026-03-29T02:30", ": on that day the clocks of the zone skip the hour."),
        ("1970-01-01T01:00", "must be after 1970."),
        ("1969-06-01T00:00", "must be after 1970."),
    ],
    count=6,
)
def test_a_time_that_the_zone_has_not_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        clocks.seconds(text, BERLIN, "The doors")
    assert str(refused.value) == f"The doors{'' if why[0] == ':' else ' '}{why}"
