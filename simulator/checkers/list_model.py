"""Lists, exits, annulments and forced entries, written down a second time from the words of R41.

All that a ticket did is kept, and counted anew for each question. Nothing is read of dtvn.machine but the
fields of what an event says of a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

MAIN = "main"
DAY = 86_400_000_000
"""Microseconds."""
ANNULLED_WITHIN = 900_000_000
"""Microseconds: 15 minutes."""
KEPT = 16
"""Newest movements of a ticket: an annulment looks among them for its own, and of older ones only the newest
day is known, by the offsets of then."""


class Listed(msgspec.Struct, frozen=True):
    """What is said of a list that nobody wrote down."""

    slug: str = MAIN
    products: tuple[str, ...] | None = None
    not_before: int = 0
    not_after: int = 0
    rule: str = "once"
    times: int = 0
    returns: bool = False
    exit_first: bool = False
    capacity: int = 0
    offsets: tuple[tuple[int, int], ...] = ()


class Moved(msgspec.Struct, frozen=True):
    """An entry, an exit or an annulment."""

    slug: str
    kind: str
    """entry (forced ones too), exit or annul."""
    at: int = 0
    """Log time, Unix microseconds."""
    dated: int = 0
    """The time that says its day: of an entry that was imported the source's, else log time."""
    recorded: int = 0
    """Its day by the offsets of then, but none before those of earlier movements on the list. Each movement
    on a daily list writes it anew for the earlier ones."""
    device: str = ""
    who: tuple[str, str] = ("", "")
    """(principal, actor)."""
    stands: bool = True
    nonce: bytes = b""
    """Of the operation that made it."""
    imported: bool = False


Moves = tuple[Moved, ...]
"""Of one ticket, the oldest first."""


def find(lists: Iterable[Any], slug: str) -> Any:
    """A list of an event by its slug; None if it has none. `main` is always there."""
    for each in lists:
        if each.slug == slug:
            return each
    return Listed() if slug == MAIN else None


def day(listed: Any, moment: int) -> int:
    """The day of a moment by the offsets of a list, UTC without any."""
    offset = listed.offsets[0][1] if listed.offsets else 0
    for since, seconds in listed.offsets:
        if since <= moment:
            offset = seconds
    return (moment + offset * 1_000_000) // DAY


def is_open(listed: Any, moment: int) -> bool:
    """Whether the list takes entries."""
    begin: int = listed.not_before
    end: int = listed.not_after
    return begin <= moment and (end == 0 or moment <= end)


def moved(
    listed: Any,
    moves: Moves,
    kind: str,
    at: int,
    device: str,
    who: tuple[str, str],
    dated: int = 0,
    nonce: bytes = b"",
    *,
    imported: bool = False,
) -> Moves:
    """After an entry or an exit. `dated`: the source's time of an entry that was imported, 0: unknown."""
    moves = _dated(listed, moves)
    recorded = day(listed, dated or at)
    if not dated:
        recorded = max([recorded, *_recorded(listed, moves)])
    return (
        *moves,
        Moved(listed.slug, kind, at, dated or at, recorded, device, who, nonce=nonce, imported=imported),
    )


def standing(listed: Any, moves: Moves, moment: int) -> tuple[int, int]:
    """(E, X): the entries and exits that stand, on a daily list those of the day."""
    counted = [
        place
        for place, made in enumerate(moves)
        if made.slug == listed.slug and made.stands and made.kind != "annul"
    ]
    if listed.rule == "daily":
        today, days = day(listed, moment), _days(listed, moves)
        counted = [place for place in counted if days[place] >= today]
    exits = sum(moves[place].kind == "exit" for place in counted)
    return len(counted) - exits, exits


def _days(listed: Any, moves: Moves) -> dict[int, int]:
    """Place of each movement on a daily list -> its day as the list has it now.

    An exit ends an entry that was made before it: one of the newest day on which somebody is still inside.
    It has the day of that entry. If nobody is inside, its day is -1 and it does not count. The order of
    movements that are no longer kept is not known.
    """
    mine = [place for place, made in enumerate(moves) if made.slug == listed.slug and made.kind != "annul"]
    days = {place: _day_of(listed, moves, place) for place in mine}
    standing = [place for place in mine if moves[place].stands and days[place] >= 0]
    old = len(moves) - KEPT
    left: list[int] = []
    for place in sorted(standing, key=lambda at: (at >= old, at < old and moves[at].kind == "exit", at)):
        if moves[place].kind != "exit":
            left.append(days[place])
            continue
        days[place] = max(left, default=-1)
        if left:
            left.remove(days[place])
    return days


def _day_of(listed: Any, moves: Moves, place: int) -> int:
    """The day of a movement's time as a daily list has it now; -1: that of an old one which is known no
    more."""
    made = moves[place]
    if place >= len(moves) - KEPT:
        if not made.imported:
            return day(listed, made.dated)
        # Of imported entries the time of the newest is kept.
        last = next(other for other in reversed(moves) if other.imported)
        return day(listed, last.dated) if made.recorded == last.recorded else made.recorded
    newest = max(_recorded(listed, moves))
    return min(newest, day(listed, moves[-KEPT].at)) if made.recorded == newest else -1


def _dated(listed: Any, moves: Moves) -> Moves:
    """With the days that a daily list has now in the place of those that were recorded on it."""
    if listed.rule != "daily":
        return moves
    days = _days(listed, moves)
    return tuple(
        msgspec.structs.replace(made, recorded=days[place]) if place in days else made
        for place, made in enumerate(moves)
    )


def _recorded(listed: Any, moves: Moves) -> list[int]:
    return [made.recorded for made in moves if made.slug == listed.slug and made.kind != "annul"]


def inside(listed: Any, moves: Moves, moment: int) -> int:
    """Persons of a ticket who are inside."""
    entries, exits = standing(listed, moves, moment)
    return entries - exits


def used_up(listed: Any, moves: Moves, persons: int, moment: int) -> bool:
    """Whether the ticket has no entry left."""
    if listed.rule == "free":
        return False
    entries, exits = standing(listed, moves, moment)
    used = entries - exits if listed.returns else entries
    once_a_person = listed.times if listed.rule == "times" else 1
    return used >= once_a_person * persons


def refuses_entry(
    listed: Any, moves: Moves, persons: int, moment: int, everybody: Iterable[Moves]
) -> str | None:
    """Why no further person comes in with a ticket. `everybody`: the movements of all tickets."""
    if used_up(listed, moves, persons, moment):
        return "already_consumed"
    if listed.exit_first and inside(listed, moves, moment) >= persons:
        return "still_inside"
    if listed.capacity and sum(inside(listed, each, moment) for each in everybody) >= listed.capacity:
        return "list_full"
    return None


def newest(moves: Moves, slug: str) -> int:
    """Place of the newest movement that stands on a list, among those that are kept; -1: there is none."""
    for place in range(len(moves) - 1, max(len(moves) - KEPT, 0) - 1, -1):
        made = moves[place]
        if made.slug == slug and made.stands and made.kind != "annul":
            return place
    return -1


def refuses_annulment(moves: Moves, slug: str, said: Any, who: tuple[str, str], moment: int) -> str | None:
    """Why the newest movement of a list is not taken back. `said`: the command."""
    place = newest(moves, slug)
    if place < 0 or moves[place].device != said.device:
        return "not_the_newest"
    if said.movement and moves[place].nonce != said.movement:
        return "not_the_newest"
    if said.supervised:
        return None
    if moves[place].who != who:
        return "not_the_newest"
    return "too_late_to_annul" if moment > moves[place].at + ANNULLED_WITHIN else None


def annulled(listed: Any, moves: Moves, moment: int) -> Moves:
    """After the annulment of the newest movement on a list."""
    moves, slug = _dated(listed, moves), listed.slug
    place = newest(moves, slug)
    taken = msgspec.structs.replace(moves[place], stands=False)
    return (*moves[:place], taken, *moves[place + 1 :], Moved(slug, "annul", moment))
