"""Times of the log on the calendar, which ends before the log's times do."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from dtvn.machine.bodies import SECONDS_MAX
from dtvn.machine.fields import MICROSECONDS


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
