"""Times of the log on the calendar, which ends before the log's times do."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from dtvn.machine.contract import MICROSECONDS

SECONDS_MAX = 253_402_300_799
"""9999-12-31T23:59:59Z in Unix seconds: the last second of Python's calendar, ISO 8601 and spreadsheets."""


def calendar_time(microseconds: int) -> datetime:
    """A time of the log in UTC, to the second; SECONDS_MAX for a later one, since the log takes all."""
    return datetime.fromtimestamp(min(microseconds // MICROSECONDS, SECONDS_MAX), UTC)


def local_time(microseconds: int, zone: tzinfo) -> str:
    """A time of the log in RFC 3339 with the zone's offset; in UTC where the calendar ends."""
    moment = calendar_time(microseconds)
    try:
        return moment.astimezone(zone).isoformat()
    except OverflowError:
        return moment.isoformat()
