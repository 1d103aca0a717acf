"""Days in the cells of a ticket file: the day, or the days in a row, on which a ticket admits."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo

from tickets.importing.moments import FORM, LAST_SECOND, NoMoment, read_moment

LENGTH_MAX = 400
"""Characters of a cell of days."""
SEPARATOR = re.compile(r"\s*[;,|\n]\s*")
"""Between the days of a cell: "2026-11-28;2026-11-29"."""


def is_day(text: str) -> bool:
    """Whether a cell holds days, or times of a day, and nothing else."""
    return len(text) <= LENGTH_MAX and all(map(FORM.fullmatch, SEPARATOR.split(text)))


def day_window(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first and the last second of the days in a cell, as the clocks of the zone have them. Raises
    NoMoment, also for days that do not follow each other."""
    days = sorted({_day(part, zone) for part in SEPARATOR.split(text)})
    if days[-1] - days[0] != timedelta(len(days) - 1):
        raise NoMoment("names days that do not follow each other, so it is no one window")
    begins = datetime.combine(days[0], time.min, zone)
    return begins, datetime.combine(days[-1], LAST_SECOND, zone)


def _day(text: str, zone: tzinfo) -> date:
    try:
        return read_moment(text, zone).at.astimezone(zone).date()
    except OverflowError as error:
        raise NoMoment("is outside the calendar") from error
