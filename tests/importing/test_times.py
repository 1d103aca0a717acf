"""Times in cells: the forms that are read, each with one meaning, and those that are not."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.table import table
from tickets.importing.moments import NoMoment, read_moment

BERLIN = ZoneInfo("Europe/Berlin")
NUMBER = "is a number, no date"
CLOCK = "is a time without a date"
OTHER = "is not a time such as 2026-07-31 18:00"


@table(
    ("text", "start", "end"),
    [
        ("2026-08-01", "2026-08-01T00:00:00+02:00", "2026-08-01T23:59:59+02:00"),
        ("2026-8-1", "2026-08-01T00:00:00+02:00", "2026-08-01T23:59:59+02:00"),
        ("01.08.2026", "2026-08-01T00:00:00+02:00", "2026-08-01T23:59:59+02:00"),
        ("1.8.2026", "2026-08-01T00:00:00+02:00", "2026-08-01T23:59:59+02:00"),
        ("2026-12-31 18:00", "2026-12-31T18:00:00+01:00", "2026-12-31T18:00:00+01:00"),
        ("2026-12-31T18:00:30", "2026-12-31T18:00:30+01:00", "2026-12-31T18:00:30+01:00"),
        ("31.12.2026 9:05", "2026-12-31T09:05:00+01:00", "2026-12-31T09:05:00+01:00"),
        ("31.12.2026T23:59:59", "2026-12-31T23:59:59+01:00", "2026-12-31T23:59:59+01:00"),
        ("2026-08-01T00:00:00", "2026-08-01T00:00:00+02:00", "2026-08-01T00:00:00+02:00"),
    ],
    count=9,
)
def test_a_time_without_an_offset_is_in_the_event_s_zone(text: str, start: str, end: str) -> None:
    for ends, expected in ((False, start), (True, end)):
        found = read_moment(text, BERLIN, ends=ends)
        assert (found.at.isoformat(), found.offset) == (expected, False)


@table(
    ("text", "why"),
    [
        ("08/01/2026 6:00 PM", OTHER),
        ("1/8/2026 18:00", OTHER),
        ("01.08.26 18:00", OTHER),
        ("Aug 1, 2026", OTHER),
        ("2026-08-01 18:00 CEST", OTHER),
        ("2026-W31-6", OTHER),
        ("2026-213", OTHER),
        ("2026-08", OTHER),
        ("01.08.", OTHER),
        ("2026-08-01 18", OTHER),
        ("2026-08-01 18.30", OTHER),
        ("2026-08-01 6:00 PM", OTHER),
        ("2026-08-01T18:00:00+2", OTHER),
        ("2026-08-01 Z", OTHER),
        ("٢٠٢٦-٠٨-٠١", OTHER),
        ("unlimited", OTHER),
        ("-", OTHER),
        ("", OTHER),
        ("20260801", NUMBER),
        ("1785607200", NUMBER),
        ("46235.75", NUMBER),
        ("46235,75", NUMBER),
        ("18:00", CLOCK),
        ("18.30", NUMBER),
        ("6:00 pm", CLOCK),
        ("23:59:59", CLOCK),
        ("2026-08-01 24:00", "is no time of the calendar"),
        ("2026-02-29", "is no time of the calendar"),
        ("2026-13-01", "is no time of the calendar"),
        ("0000-00-00 00:00:00", "is no time of the calendar"),
        ("2026-08-01T18:00+25:00", "is no time of the calendar"),
    ],
    count=31,
)
def test_no_other_form_is_guessed(text: str, why: str) -> None:
    with pytest.raises(NoMoment) as refused:
        read_moment(text, BERLIN)
    assert str(refused.value).startswith(why)


@table(
    ("text", "ends", "expected", "said"),
    [
        ("2026-10-25 02:30", True, "2026-10-25T02:30:00+01:00", "comes twice that day: the later one"),
        ("2026-10-25 02:30", False, "2026-10-25T02:30:00+02:00", "comes twice that day: the earlier one"),
        ("2026-10-25 03:00", True, "2026-10-25T03:00:00+01:00", ""),
        ("2027-03-28 02:30", False, "2027-03-28T03:30:00+02:00", "left out by the clocks that day: 03:30:00"),
        ("2027-03-28 02:30", True, "2027-03-28T03:30:00+02:00", "left out by the clocks that day: 03:30:00"),
        ("2027-03-28 05:00", True, "2027-03-28T05:00:00+02:00", ""),
        ("2026-11-27 00:00", True, "2026-11-27T00:00:00+01:00", "the day before is the last one"),
        ("2026-11-27", True, "2026-11-27T23:59:59+01:00", ""),
        ("2026-11-27 00:00", False, "2026-11-27T00:00:00+01:00", ""),
    ],
    count=9,
)
def test_an_hour_of_unclear_meaning_is_read_in_one_way_and_said(
    text: str, ends: bool, expected: str, said: str
) -> None:
    found = read_moment(text, BERLIN, ends=ends)
    assert found.at.isoformat() == expected
    assert said in found.said
    assert bool(said) is bool(found.said)


def test_the_documentation_names_times_as_they_are_read() -> None:
    page = (Path(__file__).parents[2] / "docs/use/files.md").read_text(encoding="utf-8")
    table, others = page.split("## Times")[1].split("Everything else", 1)
    for text in re.findall("`([0-9][^`]+)`", table):
        read_moment(text, BERLIN)
    for text in re.findall("`([0-9][^`]+)`", others.split("A time without an offset")[0]):
        with pytest.raises(NoMoment):
            read_moment(text, BERLIN)
