"""Lists of an event between people and the log: times with an offset, and days by the event's zone (D10)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec

from dtvn.api.outcome import moment
from dtvn.api.times import in_zone
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.lists import MAIN, MAIN_SLUG, EventList
from dtvn.wording import counted

YEARS = 15
"""For so long the offsets of a zone are written down; whoever sets the lists again writes newer ones."""
MAIN_NAME = "Main entrance"
"""What people read of `main` unless it has a name."""
_DAY = 86_400
_YEAR = 366 * _DAY


def offsets(zone: tzinfo, since: int) -> tuple[tuple[int, int], ...]:
    """(Unix microseconds, seconds to add to UTC) of each change of a zone's offset from `since` on (Unix
    seconds); the first one holds from the beginning."""
    found = [(0, _offset(zone, since))]
    for day in range(since, since + YEARS * _YEAR, _DAY):
        before, after = _offset(zone, day), _offset(zone, day + _DAY)
        if before != after:
            found.append((_change(zone, day, day + _DAY) * MICROSECONDS, after))
    return tuple(found)


def with_days_of(zone: tzinfo, lists: Iterable[EventList]) -> tuple[EventList, ...]:
    """The lists as they are ordered: daily ones with the days of this zone, `main` only if it is not what it
    is without a word."""
    known = offsets(zone, int(time.time()) - _YEAR)
    made = [msgspec.structs.replace(each, offsets=known if each.rule == "daily" else ()) for each in lists]
    return tuple(sorted((each for each in made if each != MAIN), key=lambda each: each.slug))


def shown(lists: Iterable[EventList], zone: tzinfo) -> list[dict[str, Any]]:
    """The lists as JSON, `main` among them, ascending by slug."""
    by_slug = {MAIN_SLUG: MAIN} | {each.slug: each for each in lists}
    return [_shown(by_slug[slug], zone) for slug in sorted(by_slug)]


def _shown(listed: EventList, zone: tzinfo) -> dict[str, Any]:
    return {
        "list": listed.slug,
        "name": listed.name,
        "products": None if listed.products is None else list(listed.products),
        "not_before": moment(listed.not_before, zone),
        "not_after": moment(listed.not_after, zone),
        "rule": listed.rule,
        "times": listed.times,
        "returns": listed.returns,
        "exit_first": listed.exit_first,
        "capacity": listed.capacity,
    }


def name_of(listed: EventList | None, slug: str) -> str:
    """What people read. None: a list that was taken away."""
    if listed is None:
        return f"{slug} (taken away)"
    return listed.name or (MAIN_NAME if slug == MAIN_SLUG else slug)


def in_words(listed: EventList, zone: tzinfo) -> str:
    """What the list lets in, as a person would say it."""
    found = [_how_often(listed)]
    if listed.returns:
        found.append("an exit gives the entry back")
    if listed.exit_first:
        found.append("again only after an exit")
    if listed.capacity:
        found.append(f"at most {listed.capacity:,} inside")
    if listed.not_before:
        found.append(f"from {in_zone(listed.not_before, zone):%Y-%m-%d %H:%M} {zone}")
    if listed.not_after:
        found.append(f"until {in_zone(listed.not_after, zone):%Y-%m-%d %H:%M} {zone}")
    taken = "all that admit" if listed.products is None else ", ".join(listed.products) or "no product"
    return f"{', '.join(found)}; {taken}"


def _how_often(listed: EventList) -> str:
    if listed.rule == "times":
        return counted(listed.times, "time")
    return {"once": "once", "daily": "once a day", "free": "without limit"}[listed.rule]


def _offset(zone: tzinfo, at: int) -> int:
    found = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
    return 0 if found is None else int(found.total_seconds())


def _change(zone: tzinfo, before: int, after: int) -> int:
    """The first second with the offset of `after`; that of `before` is another one."""
    new = _offset(zone, after)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if _offset(zone, middle) == new else (middle, after)
    return after
