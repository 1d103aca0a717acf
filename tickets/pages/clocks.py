"""Times in forms: on the clocks of an event's zone, as `datetime-local` has them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

from dtvn.api.errors import InvalidRequest
from dtvn.api.times import in_zone
from dtvn.machine.fields import MICROSECONDS


def shown(microseconds: int, zone: tzinfo) -> str:
    """A time of the log as a form shows it, with seconds only where it has some; "" for 0."""
    if not microseconds:
        return ""
    at = in_zone(microseconds, zone)
    return f"{at:%Y-%m-%dT%H:%M:%S}" if at.second else f"{at:%Y-%m-%dT%H:%M}"


def seconds(text: str, zone: tzinfo, what: str) -> int:
    """Unix seconds of what was typed, 0 for nothing. `what` begins the sentence of an InvalidRequest, such as
    "The doors"."""
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text).replace(tzinfo=zone)
        moment = at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"{what} must be a date and a time.") from error
    if moment.astimezone(zone).replace(tzinfo=None) != at.replace(tzinfo=None):
        raise InvalidRequest(f"{what}: on that day the clocks of the zone skip the hour.")
    if moment.timestamp() <= 0:
        raise InvalidRequest(f"{what} must be after 1970.")
    return int(moment.timestamp())


def microseconds(text: str, zone: tzinfo, what: str) -> int:
    """The same as the log has it."""
    return seconds(text, zone, what) * MICROSECONDS


def by_city(zones: Iterable[str]) -> list[tuple[str, str]]:
    """(zone, words) of these zones in the order of their cities, such as "Berlin (Europe)" for
    Europe/Berlin."""
    return sorted(((zone, city_of(zone)) for zone in zones), key=lambda one: one[1])


def city_of(zone: str) -> str:
    """A zone with its city first."""
    *regions, city = zone.replace("_", " ").split("/")
    return f"{city} ({', '.join(regions)})" if regions else city
