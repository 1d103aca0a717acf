"""What was confirmed of a preview, and what of it still holds: exactly what was shown is ordered.

Between the preview and the order, or while an import stood still, gates and people go on. A change that is
another one now, or came up since, is said and not ordered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec
from django.db import DatabaseError, InterfaceError, connection

from tickets.importing.changes import Change, Differences
from tickets.importing.holders import in_parts
from tickets.importing.imported import WrongRow
from tickets.importing.kinds import LEFT, NEW, SHOWN_KINDS
from tickets.importing.shown import rows_of
from tickets.models import TicketImport
from validators.database_url import first_line

logger = logging.getLogger("dtvn.imports")


class Confirmed(msgspec.Struct):
    """What was shown of an import, by key."""

    chosen: set[str] = set()
    """Confirmed, and not yet done."""
    left: set[str] = set()
    """Not confirmed."""
    done: dict[str, str] = {}
    """Key -> kind of what was done before."""


class Holding(msgspec.Struct):
    """What is to be done, and what is not."""

    wanted: list[Change]
    """Confirmed changes that are as they were shown."""
    left: list[Change]
    """Those that were shown, are as they were, and not confirmed."""
    unseen: list[Change]
    """Those that came up since the file was shown."""
    missing: set[str]
    """Keys of confirmed changes that are no more, or no longer the same."""


def confirmed(one: TicketImport) -> Confirmed:
    """What was confirmed, and what was not."""
    found = Confirmed()
    rows = rows_of(one).order_by().values_list("key", "kind", "chosen", "done")
    for key, kind, chosen, done in rows.iterator():
        if done:
            found.done[key] = kind
        else:
            (found.chosen if chosen else found.left).add(key)
    return found


def still_holding(differences: Differences, confirmed: Confirmed) -> Holding:
    """What holds now of what was confirmed. `differences`: compared with its keys."""
    held = Holding([], [], [], set(confirmed.chosen))
    for one in [*differences.begun, *differences.orderable()]:
        key = one.key
        if key in confirmed.chosen:
            held.missing.discard(key)
            held.wanted.append(one)
        elif key in confirmed.left:
            held.left.append(one)
        elif one.kind != NEW:
            held.unseen.append(one)
    return held


def unconfirmed(held: Holding, said: Callable[[Change], str]) -> list[WrongRow]:
    """Each change that could be ordered and was not confirmed, by name, besides that tickets are gone."""
    return [WrongRow(one.row, said(one)) for one in held.left if one.kind in LEFT]


def changed_since(
    one: TicketImport, held: Holding, unchanged: Sequence[Change], said: Callable[[Change], str]
) -> tuple[list[WrongRow], dict[str, str]]:
    """(What is not ordered since it is not what was shown; key -> kind of what the network is as by now).
    `unchanged`: as in Differences."""
    now = {(found.event, found.ticket_id, found.kind): found for found in [*unchanged, *held.unseen]}
    unseen = {(found.event, found.ticket_id, found.kind): found for found in held.unseen}
    wrong: list[WrongRow] = []
    settled: dict[str, str] = {}
    for part in in_parts(sorted(held.missing)):
        for shown in rows_of(one).filter(key__in=part):
            place = (shown.event, shown.ticket, shown.kind)
            if (found := now.get(place)) is None:
                settled[shown.key] = shown.kind
                continue
            unseen.pop(place, None)
            what = f"{shown.ticket}: {SHOWN_KINDS[shown.kind]}"
            why = f"{what}; not changed, since it is another one than was shown; now {said(found)}"
            wrong.append(WrongRow(shown.row, why))
    for found in unseen.values():
        why = f"{said(found)}: not changed, since it came up after the file was shown"
        wrong.append(WrongRow(found.row, why))
    return wrong, settled


class DoneMarks:
    """Marks rows whose tickets are as they say: an import that goes on does not order them again.

    While the database is away the import goes on, and marks are written with later ones. One that is never
    written is found by the next comparison.
    """

    def __init__(self, one: TicketImport) -> None:
        self._one = one
        self._waiting: list[str] = []

    def add(self, keys: Iterable[str]) -> None:
        """Mark the rows with these keys, now or later."""
        self._waiting += keys
        try:
            for part in in_parts(self._waiting):
                rows_of(self._one).filter(key__in=part).update(done=True)
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            logger.warning("what an import has done is not marked yet: %s", first_line(error))
        else:
            self._waiting.clear()
