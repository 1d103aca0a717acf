"""Times in forms: on the clocks of an event's zone, as `datetime-local` has them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib import resources

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


@cache
def by_city() -> list[tuple[str, str]]:
    """(zone, words) of the time zones of places, one or more a country, and of UTC, in the order of their
    cities, such as "Berlin (Europe)" for Europe/Berlin: without those that are kept for old programs."""
    lines = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8").splitlines()
    zones = [line.split("\t")[2] for line in lines if not line.startswith("#")]
    return sorted(((zone, city_of(zone)) for zone in ["UTC", *zones]), key=lambda one: one[1])


def city_of(zone: str) -> str:
    """A zone with its city first."""
    *regions, city = zone.replace("_", " ").split("/")
    return f"{city} ({', '.join(regions)})" if regions else city
