"""What a preview shows, in groups and pages, and what of it was ticked in a form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.http import QueryDict

from dtvn.wording import counted
from tickets.importing import shown
from tickets.importing.kinds import MEANS, NEW, SHOWN_KINDS
from tickets.importing.record import FileRefused
from tickets.importing.uploads import Choice
from tickets.models import ShownDifference, TicketImport

NUMBER_DIGITS_MAX = 18
"""Of ids and pages: they fit into the database's integers."""


class ShownGroup(NamedTuple):
    """A page of the rows of one kind."""

    kind: str
    words: str
    means: str
    total: int
    chosen: int
    number: int
    pages: int
    rows: list[ShownDifference]
    opened: bool
    """New tickets are many and ticked: their list is opened on request."""

    @property
    def counts(self) -> tuple[str, str]:
        """(All, ticked) as they are written."""
        return f"{self.total:,}", f"{self.chosen:,}"

    @property
    def first(self) -> int:
        """Position of the first row of this page, from 1."""
        return (self.number - 1) * shown.PAGE + 1

    @property
    def last(self) -> int:
        """Position of the last row of this page."""
        return min(self.number * shown.PAGE, self.total)


def groups_of(one: TicketImport, asked: QueryDict) -> list[ShownGroup]:
    """All groups, each at the page that is asked for, as in "change=2"."""
    found = []
    for group in shown.groups(one):
        text = asked.get(group.kind, "")
        number = min(max(_number(text), 1), group.pages)
        rows = shown.page(one, group.kind, number)
        opened = group.kind != NEW or bool(text)
        found.append(
            ShownGroup(
                group.kind,
                group.words,
                MEANS[group.kind],
                group.total,
                group.chosen,
                number,
                group.pages,
                rows,
                opened,
            )
        )
    return found


def confirm_words(new: int, changes: int) -> str:
    """The button that has so much done; imports.js says the same of what is ticked since."""
    said = [f"Import {counted(new, 'new ticket')}"] if new else []
    if changes:
        said.append(f"{'make' if new else 'Make'} {counted(changes, 'change')}")
    return " and ".join(said) or "Import without changes"


def changes_as_json(one: TicketImport, asked: QueryDict) -> dict[str, Any]:
    """How much there is of each kind, and a page of one that is asked for. Raises FileRefused."""
    found: dict[str, Any] = {
        "kinds": [
            {
                "kind": group.kind,
                "words": group.words,
                "count": group.total,
                "chosen": group.chosen,
                "pages": group.pages,
            }
            for group in shown.groups(one)
        ]
    }
    if kind := asked.get("kind", ""):
        (kind,) = _kinds([kind], "kind")
        number = _number(text := asked.get("page", "1"))
        if not number:
            raise FileRefused(f"page: {text[:20]!r} is not a number from 1.")
        found["changes"] = [
            {"id": row.pk, "row": row.row, "ticket": row.ticket, "words": row.words, "chosen": row.chosen}
            for row in shown.page(one, kind, number)
        ]
    return found


def choice_sent(sent: QueryDict) -> Choice:
    """What a form ticks: `page`, as in "change:2", names what it shows, `change` the ids of the ticked rows,
    or a kind, of which all are; `all` and `none` are kinds, too. Raises FileRefused."""
    ticked = sent.getlist("change")
    return Choice(
        pages=_pages(sent.getlist("page"), "page"),
        ticked={number for number in map(_number, ticked) if number},
        kinds=_kinds([*(each for each in ticked if not _number(each)), *sent.getlist("all")], "change"),
        unticked=_kinds(sent.getlist("none"), "none"),
    )


def pages_after(sent: QueryDict) -> str:
    """The rest of the address at which a form is shown next: its pages, but the one to go to. Raises
    FileRefused."""
    pages, place = dict(_pages(sent.getlist("page"), "page")), ""
    for kind, number in _pages(sent.getlist("go"), "go").items():
        pages[kind], place = number, kind
    for kind in _kinds([*sent.getlist("all"), *sent.getlist("none")], "all"):
        place = kind
    asked = {kind: number for kind, number in pages.items() if number > 1 or kind == place}
    return (f"?{urlencode(asked)}" if asked else "") + (f"#{place}" if place else "")


def _pages(sent: Iterable[str], field: str) -> Mapping[str, int]:
    found = {}
    for each in sent:
        kind, _, text = each.partition(":")
        (kind,) = _kinds([kind], field)
        found[kind] = _number(text)
        if not found[kind]:
            raise FileRefused(f"{field}: {each[:40]!r} is not a kind and a page, as in change:2.")
    return found


def _kinds(sent: Iterable[str], field: str) -> list[str]:
    found = list(sent)
    if wrong := [kind for kind in found if kind not in SHOWN_KINDS]:
        raise FileRefused(f"{field}: {wrong[0][:40]!r} is none of {', '.join(SHOWN_KINDS)}.")
    return found


def _number(text: str) -> int:
    """A whole number from 1; 0 for anything else."""
    fits = text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS_MAX
    return int(text) if fits else 0
