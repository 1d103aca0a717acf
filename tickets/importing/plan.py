"""The whole import of a file before anything is ordered: tickets, rows without one, open questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from dtvn.machine.fields import DEFAULT_EVENT, is_name
from dtvn.protocol.canonical import encode, tagged_digest
from dtvn.wording import counted
from tickets.importing import words
from tickets.importing.answers import (
    PERSONS,
    Answers,
    Question,
    Told,
)
from tickets.importing.imported import EVENT_LENGTH_MAX, ImportedEvent, ImportedTicket, LeftOut, WrongRow
from tickets.importing.layout import Layout
from tickets.importing.own import events_of
from tickets.importing.printed import guessed, varying_part
from tickets.importing.questions import decide
from tickets.importing.recognised import UNANSWERED, StoredSource, recognise
from tickets.importing.record import ENTITIES, Record, normalised
from tickets.importing.rows import Rows
from tickets.importing.settled import Decided, Known
from tickets.importing.source import Source, read_source

SAMPLES = 3
SHOWN = 5
"""Codes or rows that a remark names."""
LONG = 8
"""Digits of a code from which on shorter ones are odd: short numbers may count up."""
MADE_UP_DIGITS = 20
"""Hexadecimal digits of an id that is made up: two of a million tickets are equal once in 10^12 imports."""
BY_POSITION = "order+position"
BARRED_MAX = 20_000
"""Most tickets that a source left out whose names it keeps."""
SHORT_ID, LONG_ID = 4, 6
"""Characters of an id which does not stand in a code by chance: in each one, and in one of them."""

NOTHING_KNOWN = Known()
Stored = Callable[[str], Sequence[StoredSource]]


def nothing_stored(_scope: str) -> Sequence[StoredSource]:
    """No stored answers."""
    return ()


class ImportPlan(msgspec.Struct):
    """What an import would do. Each row is in exactly one of tickets, left_out and wrong; with open questions
    all three are empty."""

    form: str = ""
    preset: str = ""
    """Name of the ticket shop's export; "" for none."""
    key: str = ""
    """Of its source: under it answers are stored, for `scope`."""
    scope: str = ""
    """The event; of a file that names several events, a name for all of them together."""
    columns: list[str] = []
    """All columns, normalised."""
    stored: Sequence[StoredSource] = ()
    """What was stored for the event when it was read."""
    trusted: bool = False
    """Whether a file of its source was imported before."""
    barred: Collection[str] = ()
    """As in Recognised."""
    tickets: list[ImportedTicket] = []
    left_out: list[LeftOut] = []
    wrong: list[WrongRow] = []
    refused: list[ImportedTicket] = []
    """What the rows left out by their status would be: never issued, but compared with the network."""
    questions: list[Question] = []
    told: list[Told] = []
    """The answers that hold, and where each came from."""
    said: list[str] = []
    """What is worth saying, in sentences."""
    samples: list[str] = []
    """The first codes as they will be scanned."""
    within: bool = False
    """Whether the codes stand inside longer texts that the scanner reads."""
    products: dict[str, bool] = {}
    """Product -> whether it is an entrance."""
    new_event: str = ""
    """What becomes of events that were not created: see Answers."""
    answers: Answers = UNANSWERED
    """To store for the next file of this source, once this one is imported."""
    read: dict[str, list[str]] = {}
    """Field -> the columns that it is read from, normalised."""
    unread: list[str] = []
    """Columns that are not read, normalised."""
    events: list[ImportedEvent] = []
    """What the file says of the events of its tickets."""
    zones: dict[str, str] = {}
    """Event -> the time zone of its times without an offset."""
    rows: int = 0
    """Number of rows read, without blank ones and the header."""


def read_plan(
    path: Path,
    given: Answers = UNANSWERED,
    *,
    known: Known = NOTHING_KNOWN,
    stored: Stored = nothing_stored,
) -> ImportPlan:
    """Read a file to its end, and plan its import; raises FileRefused. `stored`: the sources of a scope
    (ImportPlan.scope)."""
    source = read_source(path, chosen=given.columns, sheet=given.sheet, hidden=given.hidden)
    return make_plan(source, given, known=known, stored=stored)


def make_plan(source: Source, given: Answers, *, known: Known, stored: Stored = nothing_stored) -> ImportPlan:
    """Plan the import of a file under these answers; raises FileRefused."""
    scope = _scope(source, Layout(source, given.columns), known)
    sources = stored(scope)
    recognised = recognise(source.columns, source.preset, sources)
    before = recognised.answers
    chosen = {
        field: name for field, name in before.columns.items() if normalised(name) in ("", *source.columns)
    }
    layout = Layout(source, chosen | given.columns)
    decided = decide(source, layout, given, recognised, known)
    plan = ImportPlan(
        form=source.form,
        preset=source.preset.name,
        key=recognised.key,
        scope=scope,
        columns=source.columns,
        stored=sources,
        trusted=recognised.source is not None,
        barred=recognised.barred,
        questions=decided.open,
        told=decided.told,
        said=list(source.notes),
        rows=len(source.rows),
        within=decided.within,
        new_event=given.new_event,
        read=layout.columns
        | {
            "code": decided.printed or [decided.code],
            "status": list(decided.statuses),
        }
        | _days_read(decided, source),
        answers=msgspec.structs.replace(
            decided.to_store(),
            columns=dict(before.columns | given.columns),
            decides=_deciding(source, layout, decided),
        ),
    )
    plan.read |= {name: [name] for name in source.preset.own if name in source.columns}
    used = {name for columns in plan.read.values() for name in columns} | decided.entered.keys()
    plan.unread = [name for name in source.columns if name not in used]
    if not plan.questions:
        rows = Rows(source, layout, decided, known)
        _fill(plan, source, rows, decided, stewards_see_why=given.stewards_see_why)
        plan.answers = msgspec.structs.replace(plan.answers, barred=_still_barred(plan, before.barred))
        by_id = {event for event in plan.zones if known.ids_are_codes(event, given.new_event)}
        _name(plan, source, layout, decided, known, by_id)
        _remark(plan, source, decided)
        plan.events = (
            events_of(source, by_event(plan.tickets), before.events | given.events)
            if source.preset.own
            else [*_events(plan, source, layout, decided)]
        )
    return plan


def _still_barred(plan: ImportPlan, before: Sequence[str]) -> list[str]:
    """The names of the tickets that the source left out, now or before, and does not let in."""
    admitted = [one for one in plan.tickets if one.admits]
    refused, let_in = ({unsalted(one) for one in found if one.codes} for found in (plan.refused, admitted))
    return [*sorted(refused), *sorted({*before} - refused - let_in)][:BARRED_MAX]


def _events(plan: ImportPlan, source: Source, layout: Layout, decided: Decided) -> Iterator[ImportedEvent]:
    """What the file of a shop says of the events of its tickets."""
    column = layout.column("event")
    spelled = source.values(column).spelled if column else {}
    names = {slug: spelled.get(name, "") for name, slug in decided.events.items() if name}
    for event, tickets in by_event(plan.tickets).items():
        products = {one.product: plan.products[one.product] for one in tickets if one.product}
        name, zone = names.get(event, event), plan.answers.timezone
        yield ImportedEvent(
            event, name=name if name != event else "", zone=zone, products=products, whole=False
        )


def _days_read(decided: Decided, source: Source) -> dict[str, list[str]]:
    """As the fields of a layout: without an entry where no column says the day."""
    columns = [name for pair in decided.days.items() for name in pair if name in source.columns]
    return {"day": columns} if columns else {}


def _deciding(source: Source, layout: Layout, decided: Decided) -> list[str]:
    """The columns of fields that keep somebody out, or to a time: of each row's event, if rows are of others,
    of products, if some let nobody in, and of windows."""
    if source.preset.own:
        return []
    fields = ["not_before", "not_after"]
    fields += ["event"] if len({*decided.events.values()}) > 1 else []
    fields += ["product", "variation"] if not all(decided.products.values()) else []
    columns = {name for field in fields for name in layout.columns.get(field, ())}
    ends = {name for name in decided.days.values() if name in source.columns}
    return sorted(name for name in columns | ends if any(source.values(name).counts))


def _scope(source: Source, layout: Layout, known: Known) -> str:
    """The event for which the answers about a file hold. Those about a file of several events hold for just
    these: whose event it is, nobody else answers for."""
    column = layout.column("event")
    names = sorted(value for value in source.values(column).counts if value) if column else []
    if known.event or not names:
        return known.event or DEFAULT_EVENT
    if len(names) == 1 and (slug := {words.folded(one): one for one in known.events}.get(names[0])):
        return slug
    return tagged_digest("dtvn/v1/import-events", encode(tuple(names))).hex()[:EVENT_LENGTH_MAX]


def by_event(tickets: Sequence[ImportedTicket]) -> dict[str, list[ImportedTicket]]:
    """The tickets of each event, in the order of the file."""
    found: dict[str, list[ImportedTicket]] = {}
    for ticket in tickets:
        found.setdefault(ticket.event, []).append(ticket)
    return found


def _fill(plan: ImportPlan, source: Source, rows: Rows, decided: Decided, *, stewards_see_why: bool) -> None:
    """Sort the rows into tickets, left out and wrong. A code that one row refuses is admitted by no other,
    unless its rows are persons (Answers.repeats); of several rows that admit the first counts, and of these
    one whose product lets its guest in."""
    persons = decided.repeats == PERSONS
    listed: list[list[ImportedTicket]] = []
    for record in source.rows:
        match rows.read(record):
            case WrongRow() as wrong:
                plan.wrong.append(wrong)
            case LeftOut() as left_out:
                plan.left_out.append(left_out)
            case list() as tickets:
                listed.append(tickets)
    shut = {product for product, admits in decided.products.items() if not admits}
    admitting = [tickets for tickets in listed if tickets[0].admits]
    if persons:
        admitting.sort(key=lambda tickets: words.folded(tickets[0].product) in shut)
    refusing = [tickets for tickets in listed if not tickets[0].admits]
    refused = {} if persons else {key: one[0] for one in refusing for key in _codes(one)}
    kept: list[list[ImportedTicket]] = []
    first: dict[tuple[str, str], list[ImportedTicket]] = {}
    for tickets in admitting:
        row, keys = tickets[0].row, _codes(tickets)
        before = next((first[key] for key in keys if key in first), None)
        if other := next((refused[key] for key in keys if key in refused), None):
            text = f"has the same code as row {other.row}, which does not admit ({other.block_reason})"
            plan.wrong.append(
                WrongRow(row, f"{text}: the file contradicts itself, so the code opens nothing")
            )
        elif before is None:
            first |= dict.fromkeys(keys, tickets)
            kept.append(tickets)
        elif persons and words.folded(tickets[0].product) in shut:
            plan.left_out.append(LeftOut(row, f"lets nobody in, and has the code of row {before[0].row}"))
        elif persons and len(before) == len(tickets) == 1 and _admit_alike(before[0], tickets[0]):
            _add_persons(before, tickets)
            plan.left_out.append(LeftOut(row, f"is one more person of the ticket in row {before[0].row}"))
        elif _say_the_same(before, tickets):
            repeated = f"says the same ticket as row {before[0].row}, in all that is read"
            plan.left_out.append(LeftOut(row, repeated))
        else:
            plan.wrong.append(
                WrongRow(row, f"has the code of row {before[0].row}, and otherwise says another ticket")
            )
    plan.tickets = [ticket for tickets in kept for ticket in tickets]
    _leave_out(plan, refusing, {*first}, stewards_see_why=stewards_see_why)
    plan.tickets.sort(key=lambda ticket: ticket.row)
    plan.left_out.sort(key=lambda one: one.row)
    plan.wrong.sort(key=lambda one: one.row)
    plan.said += rows.said
    plan.zones = {event: rows.zone(event) for event in sorted(by_event(plan.tickets))}


def _leave_out(
    plan: ImportPlan,
    refusing: Sequence[list[ImportedTicket]],
    taken: set[tuple[str, str]],
    *,
    stewards_see_why: bool,
) -> None:
    """Leave out the rows whose status does not admit, or issue their tickets blocked. `taken`: the codes of
    tickets."""
    for tickets in refusing:
        reason = tickets[0].block_reason
        if tickets[0].entered:
            reason += "; left out although its guest is checked in"
        blocked = [msgspec.structs.replace(one, entered=False, entered_at=0) for one in tickets]
        keys = _codes(tickets)
        if stewards_see_why and keys and taken.isdisjoint(keys):
            taken |= {*keys}
            plan.tickets += blocked
        else:
            plan.left_out.append(LeftOut(tickets[0].row, reason))
            plan.refused += [one for one in blocked if taken.isdisjoint(_codes([one]))]


def _add_persons(first: list[ImportedTicket], more: Sequence[ImportedTicket]) -> None:
    """Let the ticket of a code admit the persons of a further row, too."""
    one, other = first[0], more[0]
    made = sum(each.entries_made for each in (one, other) if each.entered)
    entered = one.entered or other.entered
    entries = one.entries + other.entries
    first[0] = msgspec.structs.replace(one, entries=entries, entered=entered, made=made)


def _admit_alike(one: ImportedTicket, other: ImportedTicket) -> bool:
    """Whether two tickets admit in the same time: one code admits all of its persons together."""
    return (one.not_before, one.not_after) == (other.not_before, other.not_after)


def _say_the_same(first: Sequence[ImportedTicket], again: Sequence[ImportedTicket]) -> bool:
    return list(first) == [msgspec.structs.replace(ticket, row=first[0].row) for ticket in again]


def _codes(tickets: Iterable[ImportedTicket]) -> list[tuple[str, str]]:
    """(event, code) of all codes of a row."""
    return [(ticket.event, code) for ticket in tickets for code in (*ticket.codes, *ticket.revoked)]


def _name(
    plan: ImportPlan,
    source: Source,
    layout: Layout,
    decided: Decided,
    known: Known,
    by_id: set[str],
) -> None:
    """Give each ticket its id: a name of the source, or one made up from its code. The id is never the code
    where ids are no codes (`by_id`: the events in which they are)."""
    rows = {record.number: record for record in source.rows}
    names = _names(plan, rows, source, layout, decided, ids_are_codes=by_id.issuperset(plan.zones))
    every = [*plan.tickets, *plan.refused]
    several = {row for row, count in Counter(ticket.row for ticket in every).items() if count > 1}
    numbers: Counter[int] = Counter()
    named: list[ImportedTicket] = []
    taken: set[tuple[str, str]] = set()
    for ticket in every:
        name = ticket.ticket_id or names.get(ticket.row, "")
        if name and ticket.row in several:
            numbers[ticket.row] += 1
            name = f"{name}-{numbers[ticket.row]}"
        if not is_name(name) or (ticket.event, name) in taken:
            name = made_up(ticket, known.salt_of(ticket.event))
        taken.add((ticket.event, name))
        named.append(msgspec.structs.replace(ticket, ticket_id=name))
    plan.tickets, plan.refused = named[: len(plan.tickets)], named[len(plan.tickets) :]


def _names(
    plan: ImportPlan,
    rows: Mapping[int, Record],
    source: Source,
    layout: Layout,
    decided: Decided,
    *,
    ids_are_codes: bool,
) -> dict[int, str]:
    """Row -> name from order and position, or from the first column of records that names each ticket and is
    not its code, unless the person chose it as such and ids are codes."""
    order, position = layout.column("order"), layout.column("position")
    if order and position and BY_POSITION in source.preset.ids:
        return {
            row: f"{record.fields.get(order, '')}-{record.fields.get(position, '')}"
            for row, record in rows.items()
            if record.fields.get(order) and record.fields.get(position, "").isdecimal()
        }
    tickets = {ticket.row: ticket for ticket in plan.tickets}
    read = layout.read() - {order}
    if decided.pattern:
        read |= {*decided.printed}  # with the pattern, such an id would be the code
    records = [name for name in source.columns if words.is_record(name) and name not in read]
    for column in dict.fromkeys([*(name for name in source.preset.ids if name in source.columns), *records]):
        names = {row: rows[row].fields.get(column, "") for row in tickets}
        of_codes = _stand_in_codes(names, tickets)
        different = {(tickets[row].event, name) for row, name in names.items()}
        fit = len(different) == len(names) and all(map(is_name, names.values()))
        if fit and ((ids_are_codes and column == decided.code) or not of_codes):
            return {row: record.fields.get(column, "") for row, record in rows.items()}
    return {}


def _stand_in_codes(names: Mapping[int, str], tickets: Mapping[int, ImportedTicket]) -> bool:
    """Whether codes contain these names: one of them is a whole code, or none of them stands there by chance.
    An id is in the log for ever, so it must tell nothing of a code."""
    inside = []
    for row, name in names.items():
        plain = _plain(name)
        codes = [_plain(code) for code in tickets[row].codes]
        if plain in codes or any(code and code in plain for code in codes):
            return True
        if any(plain in code for code in codes):
            inside.append(len(plain))
    return max(inside, default=0) >= (SHORT_ID if len(inside) == len(names) else LONG_ID)


def _plain(text: str) -> str:
    """Letters and digits alone, without case."""
    return "".join(filter(str.isalnum, text.casefold()))


def made_up(ticket: ImportedTicket, salt: bytes) -> str:
    """An id that is the same at each import and does not show the code."""
    code = ticket.codes[0] if ticket.codes else str(ticket.row)
    digest = tagged_digest("dtvn/v1/import-id", salt, encode((ticket.event, code)))
    return f"t-{digest.hex()[:MADE_UP_DIGITS]}"


def unsalted(ticket: ImportedTicket) -> str:
    """Its name for the answers of a source, which outlive the salt of an event."""
    return made_up(ticket, b"")


def _remark(plan: ImportPlan, source: Source, decided: Decided) -> None:
    """Samples, products, and what is worth saying of the whole file."""
    codes = [code for ticket in plan.tickets for code in ticket.codes]
    plan.samples = codes[:SAMPLES]
    plan.products = {
        ticket.product: decided.products.get(words.folded(ticket.product), True)
        for ticket in plan.tickets
        if ticket.product
    }
    plan.said += [*_notes(plan, source, decided)]
    rows = {record.number: record for record in source.rows} if decided.pattern else {}
    texts = [varying_part(decided, rows[one.row]) for one in plan.tickets] if rows else codes
    plan.said += [*_alike(codes), *_guessed(texts), *_shortened(codes)]
    plan.said += [*_seats(plan.tickets), *_forms(source, plan)]
    late = sum("although its guest is checked in" in one.reason for one in plan.left_out)
    if late:
        whose = "is left out although its guest is" if late == 1 else "are left out although their guests are"
        plan.said.append(f"{counted(late, 'row')} {whose} checked in.")


def _notes(plan: ImportPlan, source: Source, decided: Decided) -> Iterable[str]:
    """What was done to cells of codes, and to texts of any column that a program escaped."""
    notes: dict[tuple[str, str], list[int]] = {}
    issued = {ticket.row for ticket in plan.tickets}
    for record in source.rows:
        for column, note in record.notes.items() if record.number in issued else ():
            if column in decided.printed or note == ENTITIES:
                notes.setdefault((column, note), []).append(record.number)
    for (column, note), rows in list(notes.items())[:SHOWN]:
        yield f"Column {source.spelled(column)!r}: {note} ({_some(rows)})."
    if len(notes) > SHOWN:
        yield f"{len(notes) - SHOWN:,} more remarks about columns."


def _alike(codes: Sequence[str]) -> Iterable[str]:
    alike: dict[str, set[str]] = {}
    for code in codes:
        alike.setdefault(code.casefold(), set()).add(code)
    if found := [" and ".join(sorted(group)) for group in alike.values() if len(group) > 1]:
        yield f"Codes that differ only in case, which are different tickets: {', '.join(found[:SHOWN])}."


def _guessed(texts: Sequence[str]) -> Iterable[str]:
    if found := guessed(texts):
        yield (
            f"{counted(len(found), 'code')} can be guessed (short numbers, or numbers at equal steps), such "
            f"as {', '.join(found[:SHOWN])}. Whoever makes one up comes in instead of its guest."
        )


def _shortened(codes: Sequence[str]) -> Iterable[str]:
    """Codes that a spreadsheet may have shortened: it drops zeros at the beginning of numbers."""
    lengths = Counter(map(len, codes))
    usual, count = max(lengths.items(), key=lambda one: (one[1], one[0]), default=(0, 0))
    short = [code for code in codes if len(code) < usual]
    numbers = usual >= LONG and all(map(str.isdecimal, codes))
    if numbers and short and len(short) < count and not any(code.startswith("0") for code in codes):
        some = f"{counted(len(short), 'code')}, such as {', '.join(short[:SHOWN])}"
        yield (
            f"Fewer digits than the others: {some}; and none of all begins with 0. A spreadsheet may have "
            "dropped zeros: compare one with a printed ticket, and import the file as the shop wrote it."
        )


def _seats(tickets: Sequence[ImportedTicket]) -> Iterable[str]:
    rows: dict[tuple[str, str, int, int], list[int]] = {}
    for ticket in tickets:
        if ticket.seat:
            place = (ticket.event, ticket.seat, ticket.not_before, ticket.not_after)
            rows.setdefault(place, []).append(ticket.row)
    if found := [f"{seat} ({_some(which)})" for (_, seat, *_), which in rows.items() if len(which) > 1]:
        yield f"Seats of several tickets: {', '.join(found[:SHOWN])}."


def _forms(source: Source, plan: ImportPlan) -> Iterable[str]:
    """Products that are written in several Unicode forms, which are one."""
    for column in plan.read.get("product", []):
        written: dict[str, set[str]] = {}
        for cell in source.cells(column):
            written.setdefault(words.composed(cell), set()).add(cell)
        for name, forms in written.items():
            if len(forms) > 1:
                yield f"Product {name!r} is written in {len(forms)} Unicode forms, which are one product."


def _some(rows: Sequence[int]) -> str:
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return f"rows {', '.join(map(str, rows[:SHOWN]))}{more}" if len(rows) > 1 else f"row {rows[0]}"
