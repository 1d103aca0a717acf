"""The time zone of an event, for what people read of it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.conf import settings

from dtvn.machine.rows import EventRow


def zone_of(row: EventRow | None) -> ZoneInfo:
    """The zone that the event says, or the platform's: for one that says none, or one that this host's
    database of zones does not have (the log checks only its form)."""
    try:
        return ZoneInfo(row.zone if row and row.zone else settings.EVENT_TIME_ZONE)
    except (KeyError, ValueError, OSError):
        return ZoneInfo(settings.EVENT_TIME_ZONE)
