"""Finds what decides who comes in, and asks for what neither the file nor a preset nor an answer says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC

from dtvn.machine.fields import DEFAULT_EVENT
from dtvn.wording import counted
from tickets.importing import words
from tickets.importing.answers import ANY, AS_IT_IS, CHOICES, Answers, Question
from tickets.importing.columns import decide_columns
from tickets.importing.days import SEPARATOR
from tickets.importing.inquiry import Inquiry
from tickets.importing.layout import Layout
from tickets.importing.lists import is_list_of_codes
from tickets.importing.moments import NoMoment, read_moment
from tickets.importing.own import decide_own
from tickets.importing.printed import (
    PLACE,
    code_of,
    columns_of,
    guessed,
    numbers_of,
    pattern_in,
    unknown_part,
    varying_part,
)
from tickets.importing.recognised import Recognised
from tickets.importing.record import A_DATE, FileRefused, Record, normalised
from tickets.importing.settled import EVENT, FILE, GIVEN, STORED, Decided, Known, Said, settle
from tickets.importing.slugs import check_event
from tickets.importing.source import Source, Values

EXAMPLES = 3
LISTED = 10
"""Codes that a question lists."""


def decide(
    source: Source,
    layout: Layout,
    given: Answers,
    recognised: Recognised,
    known: Known,
) -> Decided:
    """All that is known about a file, and the open questions. Raises FileRefused for an answer that names a
    column which the file lacks."""
    about = Inquiry(source, layout, given, recognised, known, Decided())
    asked = _Asked(about)
    asked.sheet()
    if about.found.open:
        return about.found  # all other questions are those of one sheet
    if source.preset.own:
        return decide_own(about)
    asked.code()
    asked.event()
    decide_columns(about)
    asked.products()
    asked.new_events()
    asked.quantity()
    asked.cells()
    asked.zone()
    asked.repeats()
    return about.found


class _Asked:
    def __init__(self, about: Inquiry) -> None:
        self.about, self.source, self.layout, self.known = about, about.source, about.layout, about.known
        self.given, self.stored = about.given, about.stored
        self.preset, self.found = about.source.preset, about.found

    def sheet(self) -> None:
        if len(self.source.sheets) > 1:
            sheets = self.source.sheets
            sentence = f"Several sheets could hold the tickets: {', '.join(sheets)}. Which one does?"
            values = [(name, 0) for name in sheets]
            self.about.ask(self.about.question("sheet", sentence, values=values, answers=("sheet=NAME",)))

    def code(self) -> None:
        """What the scanner reads, for the whole file: a column, or a pattern of several."""
        source = self.source
        printed = [name for name in source.columns if words.is_printed(name) and any(source.cells(name))]
        records = [name for name in self._free() if words.is_record(name) and self._distinct(name)]
        further = [name for name in self._free() if self._distinct(name)]
        likely = dict.fromkeys([*printed, *records, *further]) or source.columns
        several = len(printed) + len(records) > 1
        why = self.preset.lacks or ("Several columns could be it." if several else "The file does not say.")
        question = self.about.question(
            "code",
            f"What does the scanner read? {why} If no column holds all of it, scan one ticket of this file: "
            "the text that is read answers too.",
            values=[(source.spelled(name), len(set(source.cells(name)) - {""})) for name in likely],
            examples={source.spelled(name): self._examples(name) for name in likely},
            answers=("code=COLUMN", "code=TEXT-OF-ONE-TICKET", "code=COLUMN --within"),
        )
        if self.given.code:
            self._read(*self._column_or_pattern(self.given.code), GIVEN, question)
        elif self.stored.code and self._has(self.stored.code):
            self._read(*self._column_or_pattern(self.stored.code), STORED, question)
        elif (name := source.first(self.preset.code)) and self._filled(name):
            self._read(name, "", self.preset.name, question)
        elif len(printed) == 1 and not records and not self.preset.lacks:
            self._read(printed[0], "", FILE, question)
        else:
            self.about.ask(question)
            # Those that it is not are asked about then.
            many = [
                name for name in self._free() if 2 * len(source.values(name).counts) > len(source.rows) > 12
            ]
            self.found.candidates = [*printed, *records, *many]

    def _has(self, code: str) -> bool:
        places = PLACE.findall(code)
        return normalised(code) in self.source.columns or (
            bool(places) and len(columns_of(code, self.source)) == len(places)
        )

    def _column_or_pattern(self, text: str) -> tuple[str, str]:
        """(column, "") or ("", pattern) of an answer; raises FileRefused."""
        if normalised(text) in self.source.columns:
            return normalised(text), ""
        known = columns_of(text, self.source)
        if known and (unknown := set(PLACE.findall(text)) - {*map(self.source.spelled, known), *known}):
            for name in sorted(unknown):
                self.source.column(name)
        pattern = text if known else pattern_in(text.strip(), self.source)
        if not pattern:
            self.source.column(text)
        (column, *others), whole = columns_of(pattern, self.source), PLACE.fullmatch(pattern)
        return (column, "") if whole and not others else ("", pattern)

    def _read(self, column: str, pattern: str, origin: str, question: Question) -> None:
        """Take what is printed from a column, or from a pattern."""
        found = self.found
        found.code, found.pattern = column, pattern
        found.printed = columns_of(pattern, self.source) if pattern else [column]
        found.within = self.given.within or (origin == STORED and self.stored.within)
        shown = pattern or self.source.spelled(column)
        if origin == GIVEN:
            self._check_guessed(shown)
        around = ", inside a longer text" if found.within else ""
        self.about.answer("code", f"{shown}{around}", origin, question, shown)

    def _check_guessed(self, shown: str) -> None:
        """Raise FileRefused if what the scanner reads could be made up: numbers that can be guessed, with a
        part of the text of one ticket that the file does not have, or within any text."""
        scanned = self.found.pattern if self.found.pattern != self.given.code else ""
        unknown = unknown_part(scanned)
        known = guessed(numbers_of([varying_part(self.found, row) for row in self.source.rows]))
        if 2 * len(known) < len(self.source.rows) or not (unknown or self.found.within):
            return
        such = f"such as {', '.join(known[:EXAMPLES])}"
        if self.found.within:
            raise FileRefused(
                f"The numbers in {shown!r} can be guessed, {such}: anybody could write a text around one. "
                "Choose a column that nobody can guess."
            )
        raise FileRefused(
            f"The part {unknown!r} of the ticket that was scanned stands in no column, and each ticket may "
            f"have another one. What does stand there can be guessed, {such}. Export the file with the "
            f"column that holds this part. If it is the same on all tickets, answer with {scanned!r}."
        )

    def event(self) -> None:
        """The slug of each event that the file names; a row that names none, among others that do, is asked
        about as well."""
        column = self.layout.column("event")
        values = self.source.values(column) if column else Values()
        unknown: dict[str, int] = {}
        stored = self._stored_events(values)
        slugs = {known: known for known in (*self.known.events, self.known.event, DEFAULT_EVENT) if known}
        for value, count in values.counts.items() if any(values.counts) else ():
            name = values.spelled[value]
            for slug, origin in (
                (self.given.events.get(value), GIVEN),
                (stored.get(value), STORED),
                (slugs.get(name), FILE),
            ):
                if slug is not None:
                    if slug:
                        check_event(slug)
                    self.found.events[value] = slug
                    if slug != name:
                        question = self._event_question(column, {name: count})
                        text = f"{name or 'a row without one'} is {slug or 'left out'}"
                        self.about.answer("event", text, origin, question, slug)
                    break
            else:
                unknown[name] = count
        if unknown:
            self.about.ask(self._event_question(column, unknown))

    def products(self) -> None:
        """The products that are entrances; an empty cell is one of them, in a file that names products."""
        rows = [row for row in self.source.rows if not (row.problem or row.left_out)]
        names = [self.layout.product(row) for row in rows]
        values = Values.of(names if any(names) else ())
        by_file = self._admission(rows)
        by_event = {
            words.folded(name): admits
            for slug in {*self.found.events.values(), self.known.event}
            for name, admits in self.known.products.get(slug, {}).items()
        }
        said = [
            Said(*_parted(by_event), EVENT),
            Said(*_parted(by_file), FILE),
            Said(self.stored.entrances, self.stored.others, STORED),
        ]
        given = self.given.entrances
        settled = settle(values, said if given is None else [Said(given, None, GIVEN)])
        unknown = [name for name in given or () if name not in values.counts and name != ANY]
        lacks = f"The file has no product {_quoted(unknown)}." if unknown and values.counts else ""
        question = self.about.question(
            "entrances",
            f"{lacks} Which products let their guests in? The others, such as a T-shirt or parking, are "
            "imported too, but the gate refuses them.".lstrip(),
            column=self.layout.column("product"),
            values=values.listed(),
            answers=("entrances=NAME,NAME", "no-entrance"),
        )
        if settled is None:
            self.about.ask(question)
        elif settled.values:
            self.found.products = settled.values
            self.about.answer_values("entrances", f"{lacks} ".lstrip(), settled, values, question)

    def new_events(self) -> None:
        """What becomes of events that were not created. Only in an event that was created does a product not
        admit."""
        column = self.layout.column("event")
        rows = Counter(self._slug(row) for row in self.source.rows if not (row.problem or row.left_out))
        new = {event: count for event, count in rows.items() if event and event not in self.known.products}
        if not self.known.asks_events or not new or any(one.id == "event" for one in self.found.open):
            return
        shut = not all(admits for product, admits in self.found.products.items() if product)
        choice = self.given.new_event
        why = "Only an event that is created refuses products that let nobody in. "
        question = self.about.question(
            "new-event",
            f"There is no event {_quoted(new)} here yet. {why if shut else ''}Shall it be created? Then "
            f"only the printed codes open its doors{'' if shut else '; else the ids of its tickets do too'}.",
            column=column,
            values=list(new.items()),
            answers=tuple(f"new-event={one}" for one in CHOICES["new-event"][: 1 if shut else None]),
        )
        if choice and not (shut and choice == AS_IT_IS):
            self.about.answer("new-event", f"{_quoted(new)}: {choice}", GIVEN, question, choice)
        else:
            self.about.ask(question)

    def quantity(self) -> None:
        column = self.layout.column("quantity")
        if not column:
            return
        values = self.source.values(column)
        several = {spelled: count for spelled, count in values.listed() if spelled not in ("", "0", "1")}
        if several:
            self.found.quantity = self.about.choose(
                "quantity",
                f"What is a row with more than 1 in {self.source.spelled(column)!r}: one ticket "
                "for that many persons, or that many tickets?",
                column=column,
                values=list(several.items()),
            )

    def cells(self) -> None:
        """Whether a cell of several parts is several codes."""
        if not self.found.code:
            return
        lists = [cell for cell in self.source.cells(self.found.code) if is_list_of_codes(cell)]
        if lists:
            self.found.cells = self.about.choose(
                "cells",
                f"Are these several codes, each of a ticket of its own? Such as {lists[0][:80]!r}.",
                column=self.found.code,
                values=[("several codes in a cell", len(lists))],
            )

    def repeats(self) -> None:
        """What a code is that stands in several rows, once it is known which of them may come in: perhaps the
        number of an order, which its guests share. One code in rows that differ is no more than a slip."""
        if self.found.open:
            return
        rows: dict[tuple[str, str], list[Record]] = {}
        for row in filter(self._may_come_in, self.source.rows):
            if code := code_of(self.found, row):
                rows.setdefault((self._slug(row), code), []).append(row)
        several = {code: found for (event, code), found in rows.items() if event and len(found) > 1}
        read = self.layout.read() | self.found.entered.keys() | self.found.days.keys()
        alike = any(
            len({tuple(row.fields.get(name, "") for name in read) for row in found}) < len(found)
            for found in several.values()
        )
        if not alike and len(several) < 2:
            return
        column, stand = self.found.printed[0], "stands" if len(several) == 1 else "stand"
        shown = ", ".join(map(self.source.spelled, self.found.printed))
        self.found.repeats = self.about.choose(
            "repeats",
            f"{counted(len(several), 'code')} in {shown!r} {stand} in several rows. Is each of them one "
            "guest's ticket, which the file repeats, or do several guests share it, as the number of an "
            "order? If each guest has a code, choose the column with it; if none has it, export it, too.",
            column=column,
            values=[(code, len(found)) for code, found in several.items()][:LISTED],
        )

    def zone(self) -> None:
        """The zone of times without an offset in events that have none."""
        given = self.given.timezone
        column = self._needs_zone()
        shown = self.source.spelled(column) if column else ""
        sentence = "In which time zone is the event? Without one its times are shown in UTC."
        if column:
            sentence = (
                f"In which time zone are the times of {shown!r}? Neither the file nor the event says it."
            )
        question = self.about.question(
            "timezone",
            sentence,
            column=column,
            answers=("timezone=Europe/Berlin",),
        )
        if given or (self.stored.timezone and column):
            self.found.zone = zone = given or self.stored.timezone
            self.about.answer("timezone", zone, GIVEN if given else STORED, question, zone)
        elif column:
            self.about.ask(question)

    # --- helpers ---------------------------------------------------------------------------------

    def _stored_events(self, values: Values) -> Mapping[str, str]:
        """The stored answers about events, unless they would leave out all rows of this file unasked."""
        stored = self.stored.events
        known = stored | self.given.events
        return stored if any(known.get(value, "?") for value in values.counts if value) else {}

    def _event_question(self, column: str, names: Mapping[str, int]) -> Question:
        parts = [_quoted(filter(None, names)), "a row without one" if "" in names else ""]
        named = ", and ".join(filter(None, parts))
        return self.about.question(
            "event",
            f"Which event is {named}? The column {self.source.spelled(column)!r} names it.",
            column=column,
            values=list(names.items()),
            answers=tuple(f"event-name={name}=SLUG" for name in names)[:EXAMPLES],
        )

    def _examples(self, column: str) -> list[str]:
        return [cell for cell in dict.fromkeys(self.source.cells(column)) if cell][:EXAMPLES]

    def _free(self) -> list[str]:
        """Columns that no field but the order is read from."""
        read = self.layout.read() - set(self.layout.columns.get("order", ()))
        return [name for name in self.source.columns if name not in read]

    def _filled(self, column: str) -> bool:
        """Whether a column has a filled cell, or no row can be read at all."""
        cells = list(self.source.cells(column))
        return any(cells) or not cells

    def _distinct(self, column: str) -> bool:
        """Whether most rows have a cell of this column, each another one."""
        cells = list(self.source.cells(column))
        filled = list(filter(None, cells))
        return len(set(filled)) == len(filled) > len(cells) / 2

    def _admission(self, rows: Iterable[Record]) -> dict[str, bool]:
        """Product -> whether it admits, where the file itself says so."""
        found: dict[str, bool] = {}
        for row in rows:
            said = row.fields.get(self.preset.admission, "") if self.preset.admission else ""
            if said:
                found[words.folded(self.layout.product(row))] = words.folded(said) in ("yes", "true")
        return found

    def _needs_zone(self) -> str:
        """A column with a time that has no offset, in an event without a zone; "" without one."""
        for record in self.source.rows:
            if record.problem or record.left_out:
                continue
            if (self._slug(record) or self.known.event or DEFAULT_EVENT) in self.known.zones:
                continue
            for field in ("not_before", "not_after"):
                column = self.layout.column(field)
                text = record.fields.get(column, "")
                if text and not record.damage(column, A_DATE) and not _has_offset(text, unread=False):
                    return column
            for column in (self.layout.column("entered_at"), *self.found.entered, *self.found.days):
                text = record.fields.get(column, "")
                parts: list[str] = SEPARATOR.split(text) if column in self.found.days else [text]
                parts += self.found.dates.get(column, {}).values()
                if text and not all(_has_offset(part, unread=True) for part in parts):
                    return column
        return ""

    def _may_come_in(self, record: Record) -> bool:
        """Whether the code of a row can be read, and no status refuses its guest."""
        if record.problem or record.left_out or any(map(record.damage, self.found.printed)):
            return False
        return all(
            known[words.value_of(record.fields.get(column, ""))]
            for column, known in self.found.statuses.items()
        )

    def _slug(self, record: Record) -> str:
        """The event that a row's tickets are issued in, "" for none."""
        return self.found.event_of(self.layout.text("event", record), self.known.event)


def _has_offset(text: str, *, unread: bool) -> bool:
    """Whether a time has an offset; `unread`: the answer for a text that is no time."""
    try:
        return read_moment(text, UTC).offset
    except NoMoment:
        return unread


def _parted(known: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    return [one for one, said in known.items() if said], [one for one, said in known.items() if not said]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name[:80]) for name in names)
