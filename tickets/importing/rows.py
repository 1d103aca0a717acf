"""One row under the answers: a ticket for each of its codes, or the reason why it is left out or wrong."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from dtvn.machine.bodies import SECONDS_MAX
from dtvn.machine.codes import CodeError, normalised
from dtvn.machine.fields import MICROSECONDS, is_text
from dtvn.machine.lists import ENTRIES_MAX
from tickets.importing import words
from tickets.importing.days import day_window, has_time, is_clock
from tickets.importing.imported import LABEL_LENGTH_MAX, Holder, ImportedTicket, LeftOut, WrongRow
from tickets.importing.layout import Layout
from tickets.importing.lists import codes_in, is_list_of_codes
from tickets.importing.moments import NoMoment, read_moment
from tickets.importing.own import OwnRows
from tickets.importing.printed import code_of
from tickets.importing.record import A_DATE, A_TRUTH, Record, WrongCell, invisible_inside
from tickets.importing.settled import Decided, Known
from tickets.importing.source import Source

WITHIN_MIN = 6
"""Characters of a code that does not stand inside another text by chance: reader_faults.LENGTH_MIN."""


class Rows:
    """Interprets rows of one file. `said` collects what is worth saying, in sentences."""

    def __init__(self, source: Source, layout: Layout, decided: Decided, known: Known) -> None:
        self._source, self._layout, self._decided, self._known = source, layout, decided, known
        self._own = OwnRows(source, decided, known.event) if source.preset.own else None
        self._zones: dict[str, ZoneInfo] = {}
        self._timed = {
            name for name in decided.days if any(has_time(row.fields.get(name, "")) for row in source.rows)
        }
        """Columns of days in which some cell has a time."""
        self.said: list[str] = []

    def read(self, record: Record) -> list[ImportedTicket] | LeftOut | WrongRow:
        """What a row becomes. The tickets have no ids yet; those of a row whose status does not admit are
        blocked."""
        if record.problem:
            return WrongRow(record.number, record.problem)
        if record.left_out:
            return LeftOut(record.number, record.left_out)
        if self._own is not None:
            return self._own.read(record)
        try:
            name = self._layout.text("event", record)
            if not (event := self._decided.event_of(name, self._known.event)):
                return LeftOut(record.number, f"belongs to event {name!r}" if name else "names no event")
            if reason := self._refusal(record):
                return self._excluded(record, event, reason)
            return self._tickets(record, event)
        except WrongCell as wrong:
            return WrongRow(record.number, str(wrong))

    def zone(self, event: str) -> str:
        """Name of the zone of times without an offset in rows of this event."""
        return self._decided.zone or self._known.zones.get(event, "UTC")

    def _refusal(self, record: Record) -> str:
        """Why the statuses of a row do not admit, "" if all of them do."""
        reasons = []
        for column, known in self._decided.statuses.items():
            self._sound(record, column, A_TRUTH, A_DATE)
            text = " ".join(record.fields.get(column, "").split())
            if not known[words.value_of(text)]:
                reasons.append(f"{self._source.spelled(column)}: {text or 'empty'}")
        if not (self._layout.product(record) or self._decided.products.get("", True)):
            reasons.append(f"{self._shown('product')}: empty")
        return "; ".join(reasons)

    def _excluded(self, record: Record, event: str, reason: str) -> list[ImportedTicket]:
        try:
            tickets = self._tickets(record, event)
        except WrongCell:
            tickets = self._named_only(record, event)  # left out it is in any case
        why = _one_line(reason)
        return [msgspec.structs.replace(one, admits=False, blocked=True, block_reason=why) for one in tickets]

    def _tickets(self, record: Record, event: str) -> list[ImportedTicket]:
        for column in self._decided.entered:
            if not record.fields.get(column):  # as of a formula without a value: it may be of a guest inside
                self._sound(record, column)
        not_before, not_after = self._window(record, event)
        ticket = ImportedTicket(
            row=record.number,
            ticket_id="",
            event=event,
            product=self._label("product", self._layout.product(record), record),
            seat=self._label("seat", self._layout.text("seat", record), record),
            not_before=not_before,
            not_after=not_after,
            holder=self._holder(record),
            order=self._order(record),
            entered=self._entered(record),
            entered_at=self._entered_at(record, event),
        )
        codes = self._codes(record)
        entries = self._quantity(record) if len(codes) == 1 else 1
        return [msgspec.structs.replace(ticket, codes=one, entries=entries) for one in codes]

    def _named_only(self, record: Record, event: str) -> list[ImportedTicket]:
        """The tickets of a row with a damaged cell, by which they can still be recognised."""
        try:
            codes = self._codes(record)
        except WrongCell:
            codes = [()]
        entered = self._entered(record)
        return [
            ImportedTicket(row=record.number, ticket_id="", event=event, codes=one, entered=entered)
            for one in codes
        ]

    def _window(self, record: Record, event: str) -> tuple[int, int]:
        """When the ticket of a row admits, Unix microseconds, 0: no bound. A day narrows the window that the
        row has."""
        not_before, not_after = (
            self._bound(self._layout.column(field), record, event, ends=field == "not_after")
            for field in ("not_before", "not_after")
        )
        if not_after and not_after < not_before:
            ends, begins = (self._shown(field) for field in ("not_after", "not_before"))
            raise WrongCell(f"column {ends!r} is a time before that of column {begins!r}")
        for column, ends in self._decided.days.items():
            begins_at, ends_at = self._day(column, ends, record, event)
            not_before = max(not_before, begins_at)
            not_after = min(not_after or ends_at, ends_at)
            if not_after < not_before:
                shown = self._source.spelled(column)
                raise WrongCell(f"column {shown!r} is a day outside the time in which the ticket is valid")
        return not_before, not_after

    def _day(self, column: str, ends: str, record: Record, event: str) -> tuple[int, int]:
        shown, text = self._source.spelled(column), record.fields.get(column, "")
        until = ends if is_clock(ends) else ""
        if not text or (ends and not (until or record.fields.get(ends))):
            raise WrongCell(f"column {shown!r} does not say on which day the ticket admits")
        if ends and not until:
            begins_at = self._bound(column, record, event, ends=False)
            return begins_at, self._bound(ends, record, event, ends=True)
        self._sound(record, column, A_DATE)
        text = self._decided.dates.get(column, {}).get(words.value_of(text), text)
        try:
            window = day_window(text, self._zone(event), until, timed=column in self._timed)
        except NoMoment as error:
            raise WrongCell(f"column {shown!r}: {text[:40]!r} {error}") from error
        begins_at, ends_at = (int(moment.timestamp()) * MICROSECONDS for moment in window)
        return begins_at, ends_at

    def _codes(self, record: Record) -> list[tuple[str, ...]]:
        """The codes of each ticket of a row."""
        for column in self._decided.printed:
            self._sound(record, column)
        cell = code_of(self._decided, record)
        several = is_list_of_codes(cell) and self._decided.cells == "tickets"
        codes = [self._code(text) for text in (codes_in(cell) if several else [cell])]
        persons = self._quantity(record)
        if len(codes) == 1 < persons and self._decided.quantity == "tickets":
            raise WrongCell(f"is for {persons} tickets, but has one code: each ticket needs its own")
        if self._layout.column("quantity") and len(codes) not in (1, persons):
            raise WrongCell(f"is for {persons}, but has {len(codes)} codes")
        if len(set(codes)) < len(codes):
            raise WrongCell("has the same code twice")
        return [(code,) for code in codes]

    def _code(self, text: str) -> str:
        shown = ", ".join(map(self._source.spelled, self._decided.printed))
        try:
            code = normalised(text)
        except CodeError as error:
            raise WrongCell(f"column {shown!r}: {error}") from error
        if self._decided.within and len(code) < WITHIN_MIN:
            raise WrongCell(
                f"column {shown!r}: a code inside a longer text has at least {WITHIN_MIN} characters"
            )
        if inside := invisible_inside(code):
            raise WrongCell(f"column {shown!r}: a code has an invisible character inside, {inside}")
        return code

    def _quantity(self, record: Record) -> int:
        column = self._layout.column("quantity")
        self._sound(record, column)
        text = record.fields.get(column, "") or "1"
        if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) <= ENTRIES_MAX):
            raise WrongCell(f"column {self._shown('quantity')!r}: {text[:40]!r} is not 1 to {ENTRIES_MAX:,}")
        return int(text)

    def _entered(self, record: Record) -> bool:
        return any(
            known[words.value_of(record.fields.get(column, ""))]
            for column, known in self._decided.entered.items()
        )

    def _entered_at(self, record: Record, event: str) -> int:
        """The source's time of the entry, 0 if it is in no listed form."""
        if not self._entered(record):
            return 0
        for column in (self._layout.column("entered_at"), *self._decided.entered):
            try:
                moment = read_moment(record.fields.get(column, ""), self._zone(event))
            except NoMoment:
                continue
            return max(0, int(moment.at.timestamp())) * MICROSECONDS
        return 0

    def _bound(self, column: str, record: Record, event: str, *, ends: bool) -> int:
        text = record.fields.get(column, "")
        self._sound(record, column, A_DATE)
        if not text:
            return 0
        said = f"column {self._source.spelled(column)!r}: {text[:40]!r}"
        try:
            moment = read_moment(text, self._zone(event), ends=ends)
        except NoMoment as error:
            raise WrongCell(f"{said} {error}") from error
        if moment.said:
            self.said.append(f"Row {record.number}, {said}: {moment.said}.")
        seconds = int(moment.at.timestamp())
        if not 0 < seconds <= SECONDS_MAX:
            raise WrongCell(f"{said} is {'before 1970' if seconds <= 0 else 'after 9999-12-31 23:59:59 UTC'}")
        return seconds * MICROSECONDS

    def _zone(self, event: str) -> ZoneInfo:
        name = self.zone(event)
        if name not in self._zones:
            self._zones[name] = ZoneInfo(name)
        return self._zones[name]

    def _order(self, record: Record) -> str:
        """The order number; "" for a status such as "paid", which would make all paid tickets one order."""
        text = self._layout.text("order", record)
        return "" if words.has_status([words.folded(text)]) else text

    def _holder(self, record: Record) -> Holder:
        text = self._layout.text
        place = " ".join(filter(None, (text("zip", record), text("city", record))))
        return Holder(
            name=self._layout.name(record),
            email=text("email", record),
            phone=text("phone", record),
            company=text("company", record),
            address=", ".join(filter(None, (text("street", record), place, text("country", record)))),
        )

    def _label(self, field: str, text: str, record: Record) -> str:
        """A text for the log, in NFC: one product is written in one way."""
        for column in self._layout.columns.get(field, ()):
            self._sound(record, column)
        label = words.composed(text)
        if len(label) > LABEL_LENGTH_MAX:
            raise WrongCell(f"{field} is longer than {LABEL_LENGTH_MAX} characters")
        if not is_text(label):
            raise WrongCell(f"{field} contains a control character")
        return label

    def _sound(self, record: Record, column: str, *fine: str) -> None:
        """Raise WrongCell for a cell that a spreadsheet damaged."""
        if column and (why := record.damage(column, *fine)):
            raise WrongCell(f"column {self._source.spelled(column)!r} is {why}")

    def _shown(self, field: str) -> str:
        return self._source.spelled(self._layout.column(field))


def _one_line(reason: str) -> str:
    """A reason as the log takes it: printable, and not too long."""
    return "".join(one if one.isprintable() else " " for one in reason)[:LABEL_LENGTH_MAX]
