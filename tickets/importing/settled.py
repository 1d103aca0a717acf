"""What an import knows and decides, and how the values of one column are decided."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from dtvn.machine.fields import DEFAULT_EVENT
from tickets.importing.answers import ANY, AS_IT_IS, Answers, Question, Told
from tickets.importing.source import Values
from tickets.importing.words import folded

GIVEN, STORED, FILE, EVENT = "your answer", "an earlier answer", "from the file", "from the event"


def no_salt(_event: str) -> bytes:
    """No salt."""
    return b""


class Known(msgspec.Struct, frozen=True):
    """What the platform knows of the events that a file may name."""

    event: str = ""
    """The event that the person chose, "" for none."""
    zones: Mapping[str, str] = {}
    """Event -> name of its time zone, for those that have one."""
    products: Mapping[str, Mapping[str, bool]] = {}
    """Event -> product -> whether it is an entrance, for events that were created."""
    events: Collection[str] = ()
    """All events that exist."""
    asks_events: bool = False
    """Whether it is asked what becomes of an event that was not created."""
    by_id: Collection[str] | None = None
    """Events whose ids are codes; None: not known, as if all were."""
    today: str = ""
    """The date, as in 2026-08-01; "": not known."""
    salt_of: Callable[[str], bytes] = no_salt
    """The salt of an event's codes, so that ids that are made up tell nothing in another event."""

    def only(self, events: Collection[str] | None) -> Known:
        """The same without what is known of other events; None: all."""
        if events is None:
            return self
        zones = {name: zone for name, zone in self.zones.items() if name in events}
        products = {name: found for name, found in self.products.items() if name in events}
        own = {*self.events}.intersection(events)
        return msgspec.structs.replace(self, zones=zones, products=products, events=own)

    def ids_are_codes(self, event: str, new_event: str) -> bool:
        """Whether a ticket's id may be what is printed on it. `new_event`: of Answers."""
        if self.by_id is None or event in self.by_id:
            return True
        return event not in self.products and new_event == AS_IT_IS


class Decided(msgspec.Struct):
    """What holds for each row; complete if `open` is empty."""

    code: str = ""
    """The column of what the scanner reads; "" where it is a pattern."""
    pattern: str = ""
    """What the scanner reads, from several columns or with text around them: see importing.printed."""
    printed: list[str] = []
    """The columns that it is read from."""
    candidates: list[str] = []
    """While it is asked what the scanner reads: the columns that likely hold it."""
    within: bool = False
    """Whether the code stands inside a longer text that the scanner reads."""
    statuses: dict[str, dict[str, bool]] = {}
    """Column -> folded value -> whether it admits."""
    entered: dict[str, dict[str, bool]] = {}
    """Column -> folded value -> whether its guest has entered."""
    days: dict[str, str] = {}
    """As in Answers."""
    dates: dict[str, dict[str, str]] = {}
    harmless: list[str] = []
    seen: dict[str, list[str]] = {}
    """As in Answers."""
    constant: dict[str, str] = {}
    """Column with one value -> that."""
    known_statuses: dict[str, dict[str, bool]] = {}
    known_entered: dict[str, dict[str, bool]] = {}
    """The same with values that this file lacks, to be stored."""
    products: dict[str, bool] = {}
    """Folded product -> whether it is an entrance."""
    zone: str = ""
    """Zone of events without one of their own; "" if no time needs it."""
    quantity: str = ""
    cells: str = ""
    repeats: str = ""
    events: dict[str, str] = {}
    """Folded name of an event -> slug, "" to leave out."""
    open: list[Question] = []
    told: list[Told] = []

    def event_of(self, name: str, only: str) -> str:
        """The slug of a row that names this event, "" if the row is of another one than `only`. Where no row
        names an event, all are of the one that was chosen."""
        slug = self.events.get(folded(name), "") if self.events else only or DEFAULT_EVENT
        return slug if not only or slug == only else ""

    def to_store(self) -> Answers:
        """The answers, for the next file of this source."""
        return Answers(
            code=self.pattern or self.code,
            within=self.within,
            admits={column: _with(True, known) for column, known in self.known_statuses.items()},
            refuses={column: _with(False, known) for column, known in self.known_statuses.items()},
            entrances=_with(True, self.products) if self.products else None,
            others=_with(False, self.products),
            timezone=self.zone,
            entered={column: _with(True, known) for column, known in self.known_entered.items()} or None,
            outside={column: _with(False, known) for column, known in self.known_entered.items()},
            harmless=self.harmless,
            seen=self.seen,
            days=self.days,
            dates=self.dates,
            constant=self.constant,
            quantity=self.quantity,
            cells=self.cells,
            repeats=self.repeats,
            events=self.events,
        )


class Said(NamedTuple):
    """What one origin says of the values of a column; None: nothing."""

    yes: Collection[str] | None
    no: Collection[str] | None
    origin: str


class Settled(NamedTuple):
    """How the values of one column are decided."""

    values: dict[str, bool]
    """Folded value of the file -> yes or no."""
    known: dict[str, bool]
    """All that is known, also of values that the file lacks, to be stored; ANY: every other text."""
    origin: str


def settle(values: Values, said: Sequence[Said]) -> Settled | None:
    """Decide from all who said something, the last of whom counts most; None while a value is unknown. A
    person's answer is complete: values that it does not name mean no."""
    known: dict[str, bool] = {}
    origin, given = "", None
    for yes, no, who in said:
        if yes or no or (who == GIVEN and yes is not None):
            known |= dict.fromkeys(no or (), False) | dict.fromkeys(yes or (), True)
            origin = who
        if who == GIVEN:
            given = yes
    if given and values.counts and not any(value in values.counts or value == ANY for value in given):
        return None  # a misspelt answer would decide against everyone
    if given is not None and set(given) == {""}:
        known[ANY] = False  # "empty admits, anything else does not", whatever a later file holds
    elif given is not None and ANY in known:
        known.setdefault("", False)
    settled = {}
    for value in values.counts:
        decided = known.get(value, known.get(ANY) if value else None)
        if decided is None and given is None:
            return None
        settled[value] = bool(decided)
    return Settled(settled, known if ANY in known else known | settled, origin)


def named(settled: Mapping[str, bool], values: Values) -> str:
    """The values with yes and their numbers of rows, then those with no."""
    said: dict[bool, list[str]] = {True: [], False: []}
    for value, count in values.counts.most_common():
        said[settled[value]].append(f"{values.spelled[value] or 'empty'} ({count})")
    yes, no = (", ".join(said[answer]) for answer in (True, False))
    return f"{yes or 'none'}; not {no}" if no else yes


def _with(answer: bool, known: Mapping[str, bool]) -> list[str]:
    return sorted(value for value, said in known.items() if said == answer)
