"""Times of the log on the calendar, which ends before the log's times do."""

from __future__ import annotations

from datetime import UTC, datetime

from dtvn.machine.bodies import SECONDS_MAX
from dtvn.machine.fields import MICROSECONDS


def calendar_time(microseconds: int) -> datetime:
    """A time of the log in UTC, to the second; SECONDS_MAX for a later one, since the log takes all."""
    return datetime.fromtimestamp(min(microseconds // MICROSECONDS, SECONDS_MAX), UTC)
