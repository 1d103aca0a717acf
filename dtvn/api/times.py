"""Times of the log on the calendar, which ends before the log's times do."""

from __future__ import annotations

from datetime import UTC, datetime

from dtvn.machine.contract import MICROSECONDS

SECONDS_MAX = 253_402_300_799
"""9999-12-31T23:59:59Z in Unix seconds: the last second of Python's calendar, ISO 8601 and spreadsheets."""


def calendar_time(microseconds: int) -> datetime:
    """A time of the log in UTC, to the second; SECONDS_MAX for a later one, since the log takes all."""
    return datetime.fromtimestamp(min(microseconds // MICROSECONDS, SECONDS_MAX), UTC)
