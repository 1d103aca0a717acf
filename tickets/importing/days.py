"""Days in the cells of a ticket file: the day, or the days in a row, on which a ticket admits.

A day alone is one from midnight to midnight. A time says when something begins and not how long it lasts, so
its end is asked: another column, or a time of the morning after. Then each evening lasts to that time, and
what is before it in a day is of the evening before: two evenings have no hour in common.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, time, timedelta, tzinfo

from tickets.importing.moments import CLOCK, FORM, LAST_SECOND, NoMoment, read_moment

LENGTH_MAX = 400
"""Characters of a cell of days."""
MORNING = "06:00"
"""When the day of an evening is over, where nothing else is said: it goes on past midnight."""
SEPARATOR = re.compile(r"\s*[;,|\n]\s*")
"""Between the days of a cell: "2026-11-28;2026-11-29"."""


def is_day(text: str) -> bool:
    """Whether a cell holds days, or times of a day, and nothing else."""
    return len(text) <= LENGTH_MAX and all(map(FORM.fullmatch, SEPARATOR.split(text)))


def has_time(text: str) -> bool:
    """Whether one of the days in a cell has a time other than midnight: when something begins on it."""
    found = filter(None, map(FORM.fullmatch, SEPARATOR.split(text)))
    return any(int(part[name] or 0) for part in found for name in ("hour", "minute", "second"))


def is_clock(text: str) -> bool:
    """Whether a text is a time of the day, such as 06:00."""
    with suppress(ValueError):
        return bool(CLOCK.fullmatch(text)) and time.fromisoformat(text.zfill(5)) is not None
    return False


def day_window(text: str, zone: tzinfo, until: str = "", *, timed: bool = False) -> tuple[datetime, datetime]:
    """Between which times the days in a cell admit, as the clocks of the zone have them: from the time in the
    cell, else from midnight, to the last second of the last day. With `until`, a time of the morning after:
    to that time, and a day without a time begins at it; what begins before it ends in the same morning.
    `timed`: whether midnight in a cell is such a time, as in a column of times. Raises NoMoment, also for
    days that do not follow each other."""
    begins = sorted(_begin(part, zone) for part in SEPARATOR.split(text))
    first, last = begins[0], begins[-1]
    days = {one.date() for one in begins}
    if len(days) != 1 + (last.date() - first.date()).days:
        raise NoMoment("names days that do not follow each other, so it is no one window")
    if not until:
        return first, datetime.combine(last.date(), LAST_SECOND, zone)
    morning = time.fromisoformat(until.zfill(5))
    has_clock = has_time(text) or (timed and ":" in text)
    if not has_clock:
        first, last = (datetime.combine(one, morning, zone) for one in (first, last))
    return first, datetime.combine(last.date() + timedelta(last.time() >= morning), morning, zone)


def _begin(text: str, zone: tzinfo) -> datetime:
    try:
        return read_moment(text, zone).at.astimezone(zone)
    except OverflowError as error:
        raise NoMoment("is outside the calendar") from error
