"""Finds what decides who comes in, and asks for what neither the file nor a preset nor an answer says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC

import msgspec

from dtvn.machine.fields import DEFAULT_EVENT
from tickets.importing import words
from tickets.importing.answers import ANY, AS_IT_IS, CELLS, NEW_EVENTS, QUANTITIES, Answers, Question, Told
from tickets.importing.layout import Layout
from tickets.importing.lists import is_list_of_codes
from tickets.importing.moments import NoMoment, read_moment
from tickets.importing.own import decide_own
from tickets.importing.presets.preset import Decider
from tickets.importing.record import A_DATE, Record
from tickets.importing.settled import EVENT, FILE, GIVEN, STORED, Decided, Known, Said, named, settle
from tickets.importing.slugs import check_event
from tickets.importing.source import Source, Values

EXAMPLES = 3
YesNo = tuple[Collection[str] | None, Collection[str] | None]
NOTHING: YesNo = (None, None)


def decide(source: Source, layout: Layout, given: Answers, stored: Answers, known: Known) -> Decided:
    """All that is known about a file, and the open questions. Raises FileRefused for an answer that names a
    column which the file lacks."""
    asked = _Asked(source, layout, given, stored, known)
    asked.sheet()
    if asked.found.open:
        return asked.found  # all other questions are those of one sheet
    if source.preset.own:
        return decide_own(source, stored.events | given.events)
    asked.code()
    asked.event()
    asked.statuses()
    asked.products()
    asked.new_events()
    asked.entered()
    asked.quantity()
    asked.cells()
    asked.zone()
    return asked.found


class _Asked:
    def __init__(self, source: Source, layout: Layout, given: Answers, stored: Answers, known: Known) -> None:
        self.source, self.layout, self.known = source, layout, known
        self.given, self.stored = given, stored
        self.preset = source.preset
        self.found = Decided()

    def sheet(self) -> None:
        if len(self.source.sheets) > 1:
            sheets = self.source.sheets
            asked = f"Several sheets could hold the tickets: {', '.join(sheets)}. Which one does?"
            values = [(name, 0) for name in sheets]
            self.found.open.append(self._question("sheet", asked, values=values, answers=("sheet=NAME",)))

    def code(self) -> None:
        """The one column that the scanner reads, for the whole file."""
        source = self.source
        printed = [name for name in source.columns if words.is_printed(name) and any(source.cells(name))]
        records = [name for name in self._free() if words.is_record(name) and self._distinct(name)]
        likely = dict.fromkeys([*printed, *records]) or source.columns
        several = len(printed) + len(records) > 1
        why = "Several columns could be it." if several else "The file does not say."
        asked = "Which column holds what the scanner reads?"
        question = self._question(
            "code",
            asked,
            values=[(source.spelled(name), len(set(source.cells(name)) - {""})) for name in likely],
            examples={source.spelled(name): self._examples(name) for name in likely},
            answers=("code=COLUMN",),
        )
        if self.given.code:
            column, origin = source.column(self.given.code), GIVEN
        elif self.stored.code in source.columns:
            column, origin = self.stored.code, STORED
        elif (name := source.first(self.preset.code)) and self._filled(name):
            column, origin = name, self.preset.name
        elif len(printed) == 1 and not records and not self.preset.lacks:
            column, origin = printed[0], FILE
        else:
            asked = f"{asked} {self.preset.lacks or why}"
            self.found.open.append(msgspec.structs.replace(question, sentence=asked))
            return
        self.found.code = column
        self._tell("code", source.spelled(column), origin, question, source.spelled(column))

    def event(self) -> None:
        """The slug of each event that the file names."""
        column = self.layout.column("event")
        if not column:
            return
        unknown: dict[str, int] = {}
        values = self.source.values(column)
        stored = self._fitting(values)
        for value, count in values.counts.items():
            name = values.spelled[value]
            slugs = {known: known for known in (*self.known.events, self.known.event, DEFAULT_EVENT) if known}
            for slug, origin in (
                (self.given.events.get(value), GIVEN),
                (stored.get(value), STORED),
                (slugs.get(name), FILE),
            ):
                if slug is not None:
                    if slug:
                        check_event(slug)
                    self.found.events[value] = slug
                    if slug != name and value:
                        question = self._event_question(column, {name: count})
                        self._tell("event", f"{name} is {slug or 'left out'}", origin, question, slug)
                    break
            else:
                if value:
                    unknown[name] = count
        if unknown:
            self.found.open.append(self._event_question(column, unknown))

    def statuses(self) -> None:
        """The values that admit, of every column that looks as if it decided."""
        by_preset = self._deciders(self.preset.statuses)
        for column in dict.fromkeys([*by_preset, *self._status_like()]):
            values = self.source.values(column)
            said = [
                Said(*by_preset.get(column, NOTHING), self.preset.name),
                Said(self.stored.admits.get(column), self.stored.refuses.get(column), STORED),
                Said(self.given.admits.get(column), self.given.refuses.get(column), GIVEN),
            ]
            settled, origin = settle(values, said)
            shown = self.source.spelled(column)
            question = self._question(
                f"admits:{column}",
                f"Which values of the column {shown!r} admit?",
                column=column,
                values=values.listed(),
                answers=(f"admits={shown}=VALUE,VALUE",),
            )
            if settled is None:
                self.found.open.append(question)
            else:
                self.found.statuses[column] = settled
                self._tell_values("admits", f"{shown}: ", settled, values, origin, question)

    def products(self) -> None:
        """The products that are entrances."""
        rows = [row for row in self.source.rows if not (row.problem or row.left_out)]
        values = Values()
        for row in rows:
            if name := self.layout.product(row):
                values.counts[value := words.folded(name)] += 1
                values.spelled.setdefault(value, name)
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
        settled, origin = settle(values, said if given is None else [Said(given, None, GIVEN)])
        unknown = [name for name in given or () if name not in values.counts and name != ANY]
        lacks = f"The file has no product {_quoted(unknown)}." if unknown and values.counts else ""
        question = self._question(
            "entrances",
            f"{lacks} Which products are entrances? The others are issued and refused at the gate.".lstrip(),
            column=self.layout.column("product"),
            values=values.listed(),
            answers=("entrances=NAME,NAME", "no-entrance"),
        )
        if settled is None:
            self.found.open.append(question)
        elif settled:
            self.found.products = settled
            self._tell_values("entrances", f"{lacks} ".lstrip(), settled, values, origin, question)

    def new_events(self) -> None:
        """What becomes of events that were not created. Only in an event that was created does a product not
        admit."""
        column = self.layout.column("event")
        rows = Counter(self._slug(row) for row in self.source.rows if not (row.problem or row.left_out))
        new = {event: count for event, count in rows.items() if event and event not in self.known.products}
        if not self.known.asks_events or not new or any(one.id == "event" for one in self.found.open):
            return
        shut = not all(self.found.products.values())
        choice = self.given.new_event
        why = "Not all products are entrances, and only an event that is created refuses the others. "
        question = self._question(
            "new-event",
            f"Nobody created the event {_quoted(new)}. {why if shut else ''}Create it, so that only what is "
            f"printed opens it{'' if shut else ', or use it as it is'}?",
            column=column,
            values=list(new.items()),
            answers=tuple(f"new-event={one}" for one in NEW_EVENTS[: 1 if shut else None]),
        )
        if choice and not (shut and choice == AS_IT_IS):
            self._tell("new-event", f"{_quoted(new)}: {choice}", GIVEN, question, choice)
        else:
            self.found.open.append(question)

    def entered(self) -> None:
        """The values of guests who have entered already."""
        by_preset = self._deciders(self.preset.entries)
        for column in dict.fromkeys([*by_preset, *self._entry_like()]):
            values = self.source.values(column)
            if not any(values.counts):
                continue
            shown = self.source.spelled(column)
            given = [] if self.given.entered == {} else (self.given.entered or {}).get(column)
            said = [
                Said(*by_preset.get(column, NOTHING), self.preset.name),
                Said((self.stored.entered or {}).get(column), self.stored.outside.get(column), STORED),
            ]
            settled, origin = settle(values, said if given is None else [Said(given, None, GIVEN)])
            question = self._question(
                f"entered:{column}",
                f"Which values of the column {shown!r} say that the guest has entered already?",
                column=column,
                values=values.listed(),
                answers=(f"entered={shown}=VALUE,VALUE", "nobody-entered"),
            )
            if settled is None:
                self.found.open.append(question)
            else:
                self.found.entered[column] = settled
                self._tell_values("entered", f"{shown}: ", settled, values, origin, question)

    def quantity(self) -> None:
        column = self.layout.column("quantity")
        if not column:
            return
        values = self.source.values(column)
        several = {spelled: count for spelled, count in values.listed() if spelled not in ("", "0", "1")}
        if several:
            self.found.quantity = self._choice(
                "quantity",
                f"What is a row with more than 1 in {self.source.spelled(column)!r}: one ticket "
                "with that many entries, or that many tickets?",
                column=column,
                values=list(several.items()),
                answers=tuple(f"quantity={choice}" for choice in QUANTITIES),
            )

    def cells(self) -> None:
        """Whether a cell of several parts is several codes."""
        if not self.found.code:
            return
        lists = [cell for cell in self.source.cells(self.found.code) if is_list_of_codes(cell)]
        if lists:
            self.found.cells = self._choice(
                "cells",
                f"Are these several codes, each of a ticket of its own? Such as {lists[0][:80]!r}.",
                column=self.found.code,
                values=[("several codes in a cell", len(lists))],
                answers=tuple(f"cells={choice}" for choice in CELLS),
            )

    def zone(self) -> None:
        """The zone of times without an offset in events that have none."""
        given = self.given.timezone
        column = self._needs_zone()
        shown = self.source.spelled(column) if column else ""
        sentence = "In which time zone is the event? Without one its times are shown in UTC."
        if column:
            sentence = (
                f"In which time zone are the times of {shown!r}? They have no offset, and the event has "
            )
            sentence += "no time zone."
        question = self._question(
            "timezone",
            sentence,
            column=column,
            answers=("timezone=Europe/Berlin",),
        )
        if given or (self.stored.timezone and column):
            self.found.zone = zone = given or self.stored.timezone
            self._tell("timezone", zone, GIVEN if given else STORED, question, zone)
        elif column:
            self.found.open.append(question)

    # --- helpers ---------------------------------------------------------------------------------

    def _fitting(self, values: Values) -> Mapping[str, str]:
        """The stored answers about events, without those that would leave rows of this file out unasked: of
        another event than the one chosen, or all if no event were left."""
        only, stored = self.known.event, self.stored.events
        fitting = {value: slug for value, slug in stored.items() if not (only and slug) or slug == only}
        kept = [
            value for value in values.counts if not value or (fitting | self.given.events).get(value, "?")
        ]
        return fitting if kept else {}

    def _event_question(self, column: str, names: Mapping[str, int]) -> Question:
        said = {name: self.stored.events.get(words.folded(name), "") for name in names}
        proposed, only = {name: slug for name, slug in said.items() if slug}, self.known.event
        other = [slug for slug in proposed.values() if only and slug != only]
        why = f" An earlier file of this source was of {_quoted(other)}; chosen is {only!r}." if other else ""
        question = self._question(
            "event",
            f"Which event is {_quoted(names)}? The column {self.source.spelled(column)!r} names it.{why}",
            column=column,
            values=list(names.items()),
            answers=tuple(f"event-name={name}=SLUG" for name in names)[:EXAMPLES],
        )
        return msgspec.structs.replace(question, proposed=proposed)

    def _examples(self, column: str) -> list[str]:
        return [cell for cell in dict.fromkeys(self.source.cells(column)) if cell][:EXAMPLES]

    def _deciders(self, deciders: Iterable[Decider]) -> dict[str, YesNo]:
        """Column of the file -> what the preset says of its values."""
        found = [(self.source.first(one.columns), (one.yes, one.no)) for one in deciders]
        return {column: said for column, said in found if column}

    def _free(self) -> list[str]:
        """Columns that no field but the order is read from."""
        read = self.layout.read() - set(self.layout.columns.get("order", ()))
        return [name for name in self.source.columns if name not in read]

    def _filled(self, column: str) -> bool:
        """Whether a column has a filled cell, or no row can be read at all."""
        cells = list(self.source.cells(column))
        return any(cells) or not cells

    def _distinct(self, column: str) -> bool:
        filled = [cell for cell in self.source.cells(column) if cell]
        return bool(filled) and len(set(filled)) == len(filled)

    def _status_like(self) -> list[str]:
        """Columns that nobody reads and that look as if they decided, and all that an answer names."""
        named = {*self.given.admits, *self.given.refuses, *self.stored.admits}
        entries = {self.source.first(entry.columns) for entry in self.preset.entries}
        idle = self.layout.read() | {
            self.found.code,
            self.preset.admission,
            *self.preset.ignored,
            *self.preset.ids,
            *entries,
        }
        return [
            name
            for name in self.source.columns
            if name in named
            or (name not in idle and words.names_status(name, self.source.columns))
            or (
                name not in idle
                and not words.names_entry(name)
                and words.says_status(self.source.cells(name))
            )
        ]

    def _entry_like(self) -> list[str]:
        """Columns that may say who has entered: by their names, or by a value that admits."""
        idle = self.layout.read() | {self.found.code, *self.preset.ignored}
        by_value = [
            column
            for column, known in self.found.statuses.items()
            if any(admits and value in words.ENTERED_WORDS for value, admits in known.items())
        ]
        by_name = [name for name in self.source.columns if words.names_entry(name) and name not in idle]
        if not by_name and (times := self.layout.column("entered_at")) and not self.preset.entries:
            by_name = [times]
        return [
            *(name for name in by_name if name not in self.found.statuses),
            *by_value,
            *(self.given.entered or ()),
        ]

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
            if record.problem or record.left_out or self._event_of(record) in self.known.zones:
                continue
            for field in ("not_before", "not_after"):
                column = self.layout.column(field)
                text = record.fields.get(column, "")
                if text and not record.damage(column, A_DATE) and not _has_offset(text, unread=False):
                    return column
            for column in (self.layout.column("entered_at"), *self.found.entered):
                text = record.fields.get(column, "")
                if text and not _has_offset(text, unread=True):
                    return column
        return ""

    def _slug(self, record: Record) -> str:
        """The event that a row's tickets are issued in, "" for none."""
        only, name = self.known.event, words.folded(self.layout.text("event", record))
        slug = self.found.events.get(name, "") if name else only or DEFAULT_EVENT
        return slug if not only or slug == only else ""

    def _event_of(self, record: Record) -> str:
        name = words.folded(self.layout.text("event", record))
        return self.found.events.get(name) or self.known.event or DEFAULT_EVENT

    def _choice(
        self,
        name: str,
        sentence: str,
        *,
        column: str,
        values: list[tuple[str, int]],
        answers: tuple[str, ...],
    ) -> str:
        given, stored = getattr(self.given, name), getattr(self.stored, name)
        question = self._question(name, sentence, column=column, values=values, answers=answers)
        if given or stored:
            self._tell(name, given or stored, GIVEN if given else STORED, question, given or stored)
        else:
            self.found.open.append(question)
        return str(given or stored)

    def _question(
        self,
        name: str,
        sentence: str,
        *,
        column: str = "",
        values: Iterable[tuple[str, int]] = (),
        examples: dict[str, list[str]] | None = None,
        answers: tuple[str, ...],
    ) -> Question:
        shown = self.source.spelled(column) if column else ""
        return Question(
            id=name,
            sentence=sentence,
            column=shown,
            values=list(values),
            examples=examples or {},
            answers=answers,
        )

    def _tell(
        self, name: str, text: str, origin: str, question: Question | None = None, *chosen: str
    ) -> None:
        self.found.told.append(Told(name, text, origin, question, list(chosen)))

    def _tell_values(
        self,
        name: str,
        before: str,
        settled: Mapping[str, bool],
        values: Values,
        origin: str,
        question: Question,
    ) -> None:
        chosen = [values.spelled[value] for value, yes in settled.items() if yes]
        self._tell(name, f"{before}{named(settled, values)}", origin, question, *chosen)


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
