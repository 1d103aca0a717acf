"""Times in the cells of a ticket file: a list of forms, each with one meaning.

    2026-08-01  1.8.2026                     the whole day
    ... 18:00  ... 18:00:30  T instead of the space, a fraction of a second (left off)
    ... 18:00Z  18:00 UTC  18:00+02:00  18:00+0200  18:00+02

No other form is read: 08/01/2026 is January or August, 20260801 may be a code.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import NamedTuple

from dtvn.api.times import calendar_time

FORM = re.compile(
    r"(?:(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})"
    r"|(?P<day_>[0-9]{1,2})\.(?P<month_>[0-9]{1,2})\.(?P<year_>[0-9]{4}))"
    r"(?:[ T](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]{1,9})?)?"
    r" ?(?P<offset>Z|UTC|(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2})?)?)?"
)
NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
CLOCK = re.compile(r"[0-9]{1,2}[:.][0-9]{2}(?::[0-9]{2})?(?: ?[AaPp][Mm])?")
LAST_SECOND = time(23, 59, 59)


class NoMoment(ValueError):
    """A text that is no time in one of the forms; the message is the end of a sentence."""


class Moment(NamedTuple):
    """A time in a cell."""

    at: datetime
    """With the offset in the text, else with that of the zone."""
    offset: bool
    """Whether the text has the offset: else another zone gives another time."""
    said: str = ""
    """How an unclear text was read, such as the hour that a day has twice; "" if it is clear."""


def read_moment(text: str, zone: tzinfo, *, ends: bool = False) -> Moment:
    """The time in a cell; raises NoMoment. A time without an offset is in `zone`; an hour that the zone has
    twice lasts as long as it can: a start is in the first, an end in the second. A date alone is the first
    second of its day, or with `ends` the last one: "valid until 1 August" includes that day."""
    found = FORM.fullmatch(text)
    if found is None:
        raise NoMoment(_why(text))
    parts = {name: int(value) for name, value in found.groupdict().items() if value and value.isdigit()}
    day = [parts.get(name, parts.get(f"{name}_", 0)) for name in ("year", "month", "day")]
    clock = [parts.get(name, 0) for name in ("hour", "minute", "second")]
    try:
        local = datetime(*day, *clock)  # type: ignore[misc, arg-type]  # noqa: DTZ001 - the zone follows
        if found["sign"]:
            offset = timedelta(hours=parts["hours"], minutes=parts.get("minutes", 0))
            zone = timezone(-offset if found["sign"] == "-" else offset)
    except ValueError as error:
        raise NoMoment(f"is no time of the calendar ({error})") from None
    if found["hour"] is None:
        return Moment(_placed(datetime.combine(local, LAST_SECOND) if ends else local, zone, ends)[0], False)
    at, said = _placed(local, UTC if found["offset"] in ("Z", "UTC") else zone, ends)
    if ends and local.time() == time.min:
        said = said or "is the first second of that day, so the day before is the last one"
    return Moment(at, found["offset"] is not None, said)


def _placed(local: datetime, zone: tzinfo, ends: bool) -> tuple[datetime, str]:
    """The local time in its zone, and what is said of one that the zone has twice, or leaves out: then it has
    the offset before the gap (RFC 5545, section 3.3.5)."""
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = first.utcoffset(), second.utcoffset()
    if before == after or before is None or after is None:
        return first, ""
    if before > after:
        found, which = (second, "later") if ends else (first, "earlier")
        return found, f"comes twice that day: the {which} one is taken"
    with suppress(OverflowError):
        first = first.astimezone(UTC).astimezone(zone)
    return first, f"is left out by the clocks that day: {first:%H:%M:%S} is taken"


def _why(text: str) -> str:
    if NUMBER.fullmatch(text):
        return "is a number, no date"
    if CLOCK.fullmatch(text):
        return "is a time without a date"
    return "is not a time such as 2026-07-31 18:00"


def shown_moment(microseconds: int, zone: tzinfo) -> str:
    """A time of the log in this zone, with the zone's name; in UTC if the zone is in the year 10000 then; ""
    for 0, no bound."""
    if not microseconds:
        return ""
    moment = calendar_time(microseconds)
    with suppress(OverflowError):
        moment = moment.astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"
