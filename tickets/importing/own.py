"""Our own exports of tickets and the admission list: every row says all of its ticket, so nothing is asked
but what somebody wrote beside it: a further column.

A row becomes the ticket as it was: ISSUED and VALIDATED (which a gate admits alike) are issued, CONSUMED is
issued and its entry imported, DISPUTED and UPHELD are issued blocked, with the reason. Codes that were
replaced are given first and replaced again, so that they still answer `revoked`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC
from typing import Any

import msgspec

from dtvn.machine import State
from dtvn.machine.codes import CODES_MAX, VALID_MAX, CodeError, normalised
from dtvn.machine.fields import (
    LABEL_LENGTH_MAX,
    MICROSECONDS,
    NAME_LENGTH_MAX,
    REASON_LENGTH_MAX,
    is_name,
    is_text,
)
from dtvn.machine.lists import ENTRIES_MAX
from dtvn.wording import counted
from tickets.exact import meant
from tickets.importing import words
from tickets.importing.answers import Question, Told
from tickets.importing.imported import (
    EVENT_LENGTH_MAX,
    Holder,
    ImportedEvent,
    ImportedTicket,
    LeftOut,
    WrongRow,
)
from tickets.importing.inquiry import Inquiry
from tickets.importing.moments import NoMoment, read_moment
from tickets.importing.record import FileRefused, Record, WrongCell
from tickets.importing.settled import GIVEN, STORED, Decided
from tickets.importing.source import Source

CODES, REVOKED = "codes", "revoked codes"
YES_NO = {"yes": True, "true": True, "no": False, "false": False}
NO_CODES = (
    "This export has no codes, since its maker may not see them, and in one of its events ids are "
    "none. Export again with the scope operate or admin, or by manage.py export_tickets."
)

BY_ITSELF = (
    "An export of this platform says itself who comes in and who has entered, so the answers admits, "
    "refuses, entered and day are not for it. Take the rows of those who may not come in out of the file."
)


class OwnRows:
    """Interprets rows of one export."""

    def __init__(self, source: Source, decided: Decided, only: str) -> None:
        """`only`: the event that the person chose, "" for all."""
        # Exports of earlier releases have ids that are codes, and the time of the last change only.
        self._old = not {CODES, "ids are codes"} & {*source.columns}
        self._entered = "admitted at" if "admitted at" in source.columns else "changed at"
        self._renamed, self._only = decided.events, only
        self._first: dict[tuple[str, str], int] = {}

    def read(self, record: Record) -> list[ImportedTicket] | LeftOut | WrongRow:
        """The one ticket of a row."""
        event = record.fields.get("event", "")
        slug = self._renamed.get(words.folded(event), event)
        if not slug or (self._only and slug != self._only):
            return LeftOut(record.number, f"belongs to event {event!r}")
        try:
            ticket = _ticket(record, slug, self._entered)
        except WrongCell as wrong:
            return WrongRow(record.number, str(wrong))
        if self._old:
            ticket = msgspec.structs.replace(ticket, codes=(ticket.ticket_id,))
        first = self._first.setdefault((slug, ticket.ticket_id), record.number)
        if first != record.number:
            return WrongRow(record.number, f"ticket {ticket.ticket_id} is already in row {first}")
        return [ticket]


def decide_own(about: Inquiry) -> Decided:
    """What an export says of all its rows; a column that it does not have is open until it is harmless.
    Raises FileRefused for an export without codes that needs them, and for an answer about who comes in."""
    source, given = about.source, about.given
    if given.admits or given.refuses or given.entered or given.days:
        raise FileRefused(BY_ITSELF)
    further = [name for name in source.columns if name not in (*source.preset.own, *source.preset.ignored)]
    harmless = {*about.stored.harmless, *given.harmless}
    rows = [row for row in source.rows if not (row.problem or row.left_out)]
    if CODES not in source.columns and any(not _yes(row, "ids are codes", True) for row in rows):
        raise FileRefused(NO_CODES)
    states = Counter(row.fields.get("state", "") for row in rows)
    products = {
        words.folded(meant(row.fields.get("product", ""))): _yes(row, "product admits", True) for row in rows
    }
    listed = "; ".join(f"{state or 'empty'} ({count})" for state, count in states.most_common())
    name = source.preset.name
    closed = sum(not admits for product, admits in products.items() if product)
    for column in further:
        if column in harmless:
            text = f"{source.spelled(column)}: does not matter at the door"
            origin = GIVEN if column in given.harmless else STORED
            about.answer(f"column:{column}", text, origin, _question(about, column), "harmless")
    return Decided(
        code=CODES if CODES in source.columns else "ticket id",
        events=about.stored.events | given.events,
        harmless=[name for name in further if name in harmless],
        open=[
            _question(about, name)
            for name in further
            if name not in harmless and any(source.values(name).counts)
        ],
        products={product: admits for product, admits in products.items() if product},
        told=[
            Told("code", "all codes of each ticket, as they are printed", name),
            Told("admits", f"state: {listed}; disputed and blocked tickets are issued blocked", name),
            Told("entrances", f"the column product_admits; {counted(closed, 'product')} not admitting", name),
            Told("timezone", "each time names its own", name),
            Told("entered", f"state CONSUMED ({states[State.CONSUMED.name]})", name),
            *about.found.told,
        ],
    )


def _question(about: Inquiry, column: str) -> Question:
    shown = about.source.spelled(column)
    return about.question(
        f"column:{column}",
        f"The column {shown!r} is not of this export, so it lets nobody in and keeps nobody out. If it says "
        "who may come in, take the others' rows out of the file, or block their tickets. Does it not matter?",
        column=column,
        values=about.source.values(column).listed(),
        answers=(f"harmless={shown}",),
    )


def events_of(source: Source, imported: Collection[str], renamed: Mapping[str, str]) -> list[ImportedEvent]:
    """What an export says of these events: its JSON form, and its rows. `renamed`: event, folded -> slug."""
    found = {event.slug: event for event in map(_told, source.events)}
    for row in source.rows:
        if row.problem or row.left_out or not (slug := row.fields.get("event", "")):
            continue
        event = found.setdefault(
            slug,
            ImportedEvent(
                slug, zone=row.fields.get("event zone", ""), ids_are_codes=_yes(row, "ids are codes", True)
            ),
        )
        if product := words.composed(meant(row.fields.get("product", ""))):
            event.products[product] = _yes(row, "product admits", True)
    named = [
        msgspec.structs.replace(event, slug=renamed.get(words.folded(slug), slug))
        for slug, event in found.items()
    ]
    return [event for event in named if event.slug in imported]


def _told(said: Mapping[str, Any]) -> ImportedEvent:
    """An event in the JSON form."""
    try:
        doors = read_moment(said["doors"], UTC).at.timestamp() if said["doors"] else 0
        return ImportedEvent(
            said["slug"],
            said["name"],
            said["zone"],
            int(doors) * MICROSECONDS,
            said["ids_are_codes"] is not False,
            {one["name"]: one["admits"] is True for one in said["products"]},
        )
    except (KeyError, TypeError, NoMoment) as error:
        raise FileRefused(f"The events of this export are damaged: {error}.") from error


def _ticket(record: Record, slug: str, entered_at: str) -> ImportedTicket:
    if not is_name(slug) or len(slug) > EVENT_LENGTH_MAX:
        raise WrongCell(f"event {slug[:80]!r} is not 1 to {EVENT_LENGTH_MAX} of A-Z a-z 0-9 . _ : -")
    name = record.fields.get("ticket id", "")
    if not is_name(name):
        raise WrongCell(f"ticket_id {name[:40]!r} is not 1 to 128 of A-Z a-z 0-9 . _ : -")
    begins, ends = _time(record, "valid from"), _time(record, "valid until")
    if ends and ends < begins:
        raise WrongCell("valid_until is a time before valid_from")
    codes, revoked = _codes(record, CODES), _codes(record, REVOKED)
    if len(codes) > VALID_MAX or len(codes) + len(revoked) > CODES_MAX or (revoked and not codes):
        raise WrongCell(f"has {len(codes)} codes and {len(revoked)} that were replaced, which no ticket has")
    if len({*codes, *revoked}) < len(codes) + len(revoked):
        raise WrongCell("has the same code twice")
    state, reason = _state(record), _text(record, "block reason", REASON_LENGTH_MAX)
    entries, used = _count(record, "entries", 1), _count(record, "entries used", 0)
    entered = state is State.CONSUMED or used > 0
    disputed = state in (State.DISPUTED, State.UPHELD)
    if disputed:
        note = _text(record, "dispute reason", REASON_LENGTH_MAX)
        reason = "; ".join(filter(None, (f"state: {state.name}", note, reason)))[:REASON_LENGTH_MAX]
    blocked = disputed or _yes(record, "blocked", False)
    return ImportedTicket(
        row=record.number,
        ticket_id=name,
        event=slug,
        product=words.composed(_text(record, "product", LABEL_LENGTH_MAX)),
        seat=words.composed(_text(record, "seat", LABEL_LENGTH_MAX)),
        not_before=begins,
        not_after=ends,
        holder=Holder(name=_cell(record, "name"), company=_cell(record, "company")),
        order=_cell(record, "order"),
        codes=codes,
        revoked=revoked,
        entries=max(entries, 1),
        entered=entered,
        made=used,
        entered_at=_time(record, entered_at) if entered else 0,
        gate=_text(record, "gate", NAME_LENGTH_MAX) if entered else "",
        device=_text(record, "device", NAME_LENGTH_MAX) if entered else "",
        blocked=blocked,
        block_reason=reason if blocked else "",
    )


def _state(record: Record) -> State:
    text = record.fields.get("state", "")
    if text not in State.__members__:
        raise WrongCell(f"state {text[:40]!r} is none of {', '.join(State.__members__)}")
    return State[text]


def _codes(record: Record, column: str) -> tuple[str, ...]:
    """Codes from a JSON list of texts; of one whose text the exporting platform did not know there is a
    digest, which means nothing elsewhere."""
    cell = record.fields.get(column, "") or "[]"
    try:
        found = json.loads(cell)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise WrongCell(f"{column} {cell[:40]!r} is no JSON list")
    if any(not isinstance(one, str) for one in found):
        remedy = "write its text there" + (", or take it out" if column == REVOKED else "")
        raise WrongCell(f"{column}: the exporting platform knew a code by its digest only; {remedy}")
    try:
        return tuple(map(normalised, found))
    except CodeError as error:
        raise WrongCell(f"{column}: {error}") from error


def _time(record: Record, column: str) -> int:
    text = _cell(record, column)
    if not text:
        return 0
    try:
        moment = read_moment(text, UTC)
    except NoMoment as error:
        raise WrongCell(f"{column} {text[:40]!r} {error}") from error
    if not moment.offset:
        raise WrongCell(f"{column} {text[:40]!r} has no offset, such as +00:00")
    return max(0, int(moment.at.timestamp())) * MICROSECONDS


def _count(record: Record, column: str, missing: int) -> int:
    """A number of entries; `missing`: what an empty cell means."""
    text = _cell(record, column)
    if not text:
        return missing
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= ENTRIES_MAX):
        raise WrongCell(f"{column.replace(' ', '_')} {text[:40]!r} is not at most {ENTRIES_MAX:,}")
    return int(text)


def _text(record: Record, column: str, length: int) -> str:
    """A text for the log."""
    text = _cell(record, column)
    if len(text) > length or not is_text(text):
        raise WrongCell(f"{column} is longer than {length} characters or contains a control character")
    return text


def _cell(record: Record, column: str) -> str:
    if why := record.damage(column):
        raise WrongCell(f"{column} is {why}")
    return meant(record.fields.get(column, ""))


def _yes(record: Record, column: str, missing: bool) -> bool:
    """A cell that says yes or no; `missing`: what an empty one means. Anything else is refused."""
    text = record.fields.get(column, "")
    if text and text.lower() not in YES_NO:
        raise FileRefused(f"Row {record.number}, {column}: {text[:40]!r} is neither yes nor no.")
    return YES_NO[text.lower()] if text else missing
