"""Times of the log on the calendar, which ends before the log's times do."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dtvn.machine.bodies import SECONDS_MAX
from dtvn.machine.fields import MICROSECONDS


def calendar_time(microseconds: int) -> datetime:
    """A time of the log in UTC, to the second; SECONDS_MAX for a later one, since the log takes all."""
    return datetime.fromtimestamp(min(microseconds // MICROSECONDS, SECONDS_MAX), UTC)


def in_zone(microseconds: int, zone: tzinfo) -> datetime:
    """A time of the log on the calendar of `zone`; in UTC where that calendar ends."""
    at = calendar_time(microseconds)
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at


def named_zone(name: str) -> tzinfo:
    """The time zone of this name; UTC without one, or if this computer does not know it."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
