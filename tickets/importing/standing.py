"""What still holds of a confirmation once the network is compared again: exactly what was shown is ordered.

Between the preview and the order, or while an import stood still, gates and people go on. A difference that
is another one now, or came up since, is said and not ordered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from tickets.importing.differences import LEFT, NEW, SHOWN_KINDS, Difference, Differences, key_of_new
from tickets.importing.imported import ImportedTicket, WrongRow
from tickets.importing.plan import ImportPlan
from tickets.importing.shown import Confirmed
from tickets.models import ShownDifference

COMPLETED = frozenset({"replace", "entry"})
"""What a ticket that is in the network by now may lack, which its issue goes on with (completing)."""


class Standing(msgspec.Struct):
    """What is to be done, and what is not."""

    fresh: dict[str, ImportedTicket] = {}
    """Key -> a new ticket that was confirmed, also if it is in the network by now: its entry may not be."""
    wanted: list[Difference] = []
    """Confirmed differences that are as they were shown."""
    missing: set[str] = set()
    """Keys of confirmed differences that are no more, or no longer the same."""
    left: list[Difference] = []
    """Those that were shown, are as they were, and not confirmed."""
    left_new: list[ImportedTicket] = []
    """New tickets that were shown, are still new, and not confirmed."""
    unseen: list[Difference] = []
    """Differences that came up since the file was shown."""

    def counts_left(self) -> Counter[str]:
        """Kind -> number of rows in `left` and `left_new`."""
        return Counter({NEW: len(self.left_new)}) + Counter(one.kind for one in self.left)


def standing(found: ImportPlan, differences: Differences, confirmed: Confirmed) -> Standing:
    """What holds now of what was confirmed."""
    held = Standing(fresh=_fresh(found, differences, confirmed))
    held.left_new = [ticket for ticket in differences.new if key_of_new(ticket) in confirmed.left]
    issued = {(ticket.event, ticket.ticket_id) for ticket in held.fresh.values()}
    held.missing = confirmed.chosen - held.fresh.keys()
    for one in differences.orderable():
        key = one.key
        if key in held.missing:
            held.missing.discard(key)
            held.wanted.append(one)
        elif key in confirmed.left:
            held.left.append(one)
        elif not (one.kind in COMPLETED and (one.event, one.ticket_id) in issued):
            held.unseen.append(one)
    return held


def unconfirmed(held: Standing, said: Callable[[Difference], str]) -> list[WrongRow]:
    """Each row that could be ordered and was not confirmed, by name, besides that tickets are gone."""
    new = [WrongRow(ticket.row, f"{ticket.ticket_id}: {SHOWN_KINDS[NEW]}") for ticket in held.left_new]
    return new + [WrongRow(one.row, said(one)) for one in held.left if one.kind in LEFT]


def changed_since(
    held: Standing,
    differences: Differences,
    words_of: Callable[[Iterable[str]], Iterable[ShownDifference]],
    said: Callable[[Difference], str],
) -> tuple[list[WrongRow], dict[str, str]]:
    """(What is not ordered since it is not what was shown; key -> kind of what the network is as by now)."""
    now: Mapping[tuple[str, str, str], Difference] = {
        (one.event, one.ticket_id, one.kind): one for one in [*differences.unchanged, *held.unseen]
    }
    wrong: list[WrongRow] = []
    settled: dict[str, str] = {}
    told: set[tuple[str, str, str]] = set()
    for shown in words_of(held.missing):
        place = (shown.event, shown.ticket, shown.kind)
        if (one := now.get(place)) is None:
            settled[shown.key] = shown.kind
            continue
        told.add(place)
        what = f"{shown.ticket}: {SHOWN_KINDS[shown.kind]}"
        why = f"{what}; not ordered, since it changed after it was shown; now {said(one)}"
        wrong.append(WrongRow(shown.row, why))
    wrong += _came_up(held.unseen, told, said)
    return wrong, settled


def _came_up(
    unseen: Iterable[Difference], told: set[tuple[str, str, str]], said: Callable[[Difference], str]
) -> Iterator[WrongRow]:
    for one in unseen:
        if (one.event, one.ticket_id, one.kind) not in told:
            yield WrongRow(one.row, f"{said(one)}: not ordered, since it came up after the file was shown")


def _fresh(found: ImportPlan, differences: Differences, confirmed: Confirmed) -> dict[str, ImportedTicket]:
    """The new tickets that were confirmed, under the ids that they have or get in the network."""
    new = {key_of_new(ticket): ticket for ticket in differences.new}
    unclear = {wrong.row for wrong in differences.unclear}
    fresh = {}
    for ticket in found.tickets:
        key = key_of_new(ticket)
        if key in confirmed.chosen and ticket.row not in unclear:
            name = differences.matched.get((ticket.event, ticket.ticket_id), ticket.ticket_id)
            fresh[key] = new.get(key) or msgspec.structs.replace(ticket, ticket_id=name)
    return fresh
