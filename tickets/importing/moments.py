"""Times in the cells of a ticket file."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, time, tzinfo

from dtvn.api.times import calendar_time

DATE_FORM = "%d.%m.%Y"
MOMENT_FORMS = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")
LAST_SECOND = time(23, 59, 59, fold=1)
"""The last second of a day; `fold`: the later one, if the clocks go back at midnight."""


def read_moment(text: str, zone: tzinfo, *, ends: bool = False) -> datetime | None:
    """The time in a cell, with its offset; None if the text is not a time. A time without an offset is in
    `zone`. A date alone is the first second of its day, or with `ends` the last one: "valid until 1 August"
    includes that day."""
    day = _date(text)
    if day is not None:
        return datetime.combine(day, LAST_SECOND if ends else time.min, zone)
    moment = _moment(text)
    return moment.replace(tzinfo=zone) if moment is not None and moment.tzinfo is None else moment


def shown_moment(microseconds: int, zone: tzinfo) -> str:
    """A time of the log in this zone, with the zone's name; in UTC if the zone is in the year 10000 then; ""
    for 0, no bound."""
    if not microseconds:
        return ""
    moment = calendar_time(microseconds)
    with suppress(OverflowError):
        moment = moment.astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.strptime(text, DATE_FORM).date()  # noqa: DTZ007 - only the date is used
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in MOMENT_FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the caller knows the zone
        except ValueError:
            continue
    return None
