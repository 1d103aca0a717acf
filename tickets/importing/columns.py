"""Interprets the columns of a file: a Record becomes a ticket, or the reason why it is not one.

It understands pretix's unmodified export of order positions, and plain files with a column such as
`ticket_id`. Only id, event, product, seat and validity leave this module for the log; names and addresses go
to `Holder`, the order's number stays beside it; all other columns (answers to questions, comments, invoice
addresses) are named as not read.

A pretix ticket's id is order code and position, `ABC12-1`, as pretix prints it. Its secret is the code that a
gate scans and is enough to enter, so it is never written to the log: only its hash is kept here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, tzinfo

import msgspec

from dtvn.machine.bodies import SECONDS_MAX
from dtvn.machine.fields import DEFAULT_EVENT, MICROSECONDS, is_name, is_text
from tickets.importing.moments import NoMoment, read_moment
from tickets.importing.record import COMMAND_LINE, Record, Settings, normalised

PLAIN_ID = "ticket id"
"""The column that identifies tickets, even if the file has other such columns."""
PRETIX = frozenset({"order code", "position id"})
"""Columns that only pretix's export has."""
ALIASES: dict[str, tuple[str, ...]] = {
    "ticket_id": (PLAIN_ID, "ticketid", "ticket code", "ticket number", "ticket", "barcode", "id", "code"),
    "order": ("order code", "order"),
    "position": ("position id", "positionid", "position"),
    "event": ("event", "event id"),
    "slug": ("event slug",),
    "status": ("status",),
    "blocked": ("blocked",),
    "testmode": ("testmode", "test mode"),
    "product": ("product", "item", "ticket type", "type", "category"),
    "variation": ("variation",),
    "seat": ("seat name", "seat", "seat id"),
    "not_before": ("valid from", "not before"),
    "not_after": ("valid until", "valid to", "not after"),
    "secret": ("ticket secret", "secret"),
    "name": ("attendee name", "holder", "name", "full name"),
    "email": ("attendee email", "email", "e mail"),
    "phone": ("phone number", "phone"),
    "company": ("company",),
    "street": ("address", "street"),
    "zip": ("zip code", "zipcode", "zip"),
    "city": ("city",),
    "country": ("country",),
}
"""Field to normalised column names, in order of preference."""
PAID = frozenset({"paid", "confirmed", ""})
LEFT_OUT = frozenset({"pending", "canceled", "cancelled", "expired", "approval pending", "overpaid"})
YES = frozenset({"yes", "true", "1"})
NO = frozenset({"no", "false", "0", "none", ""})
POSITION = re.compile(r"[1-9][0-9]{0,8}")
"""pretix numbers the positions of an order from 1."""
STATUS_FIELDS = ("status", "blocked", "testmode")
"""Read only in rows that are order positions."""
EVENT_LENGTH_MAX = 64
LABEL_LENGTH_MAX = 128
"""Longest product and seat in the log, in characters."""


class LeftOut(msgspec.Struct, frozen=True):
    """A well-formed row that is not a valid ticket: cancelled or unpaid."""

    row: int
    reason: str


class WrongRow(msgspec.Struct, frozen=True):
    """A row that cannot be imported, and why."""

    row: int
    reason: str


class Holder(msgspec.Struct, frozen=True, array_like=True):
    """Personal data of one ticket: never in the log, erasable."""

    name: str = ""
    email: str = ""
    phone: str = ""
    company: str = ""
    address: str = ""

    def __bool__(self) -> bool:
        return any((self.name, self.email, self.phone, self.company, self.address))


class ImportedTicket(msgspec.Struct, frozen=True, kw_only=True):
    """The ticket in one row. Times are Unix microseconds, 0: no bound."""

    row: int
    ticket_id: str
    event: str
    product: str
    seat: str
    not_before: int
    not_after: int
    holder: Holder
    secret_digest: bytes
    """SHA-256 of the code that a gate scans; b"" if it scans the id."""
    order: str = ""
    """The seller's order number: kept with the holder, outside the log and its commitment."""


class _Refused(Exception):
    """A row that is no ticket; the message says why."""


class Columns:
    """Settings for reading the rows of one file."""

    def __init__(
        self,
        *,
        event: str = "",
        zone: tzinfo = UTC,
        zones: Mapping[str, tzinfo] | None = None,
        chosen: Mapping[str, str] | None = None,
        include_pending: bool = False,
        named: Settings = COMMAND_LINE,
    ) -> None:
        """`event`: the only event of the file; "" for what its column says, else the default event. `zone`
        applies to times without an offset, unless the event is in `zones`. `chosen` maps fields of ALIASES to
        the file's own column names; a field with the name "" is not read."""
        self.named = named
        self._event = event
        self._zone = zone
        self._zones = zones or {}
        self._names = dict(ALIASES)
        chosen = chosen or {}
        for field, name in chosen.items():
            self._names[field] = (normalised(name),) if name else ()
        self._id_chosen = bool(chosen.get("ticket_id"))
        self._chosen = {normalised(name): name for name in chosen.values() if name}
        self._include_pending = include_pending

    def understands(self, name: str) -> bool:
        """Whether a column of this name holds data of a ticket or its holder."""
        return any(name in names for names in self._names.values())

    def zone_of(self, event: str) -> tzinfo:
        """The zone of times without an offset in rows of this event."""
        return self._zones.get(event, self._zone)

    def fields_read(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Field -> those of these columns that it is read from, in order of preference."""
        present = dict.fromkeys(names)
        found = {field: [name for name in known if name in present] for field, known in self._names.items()}
        if not self._by_position(present):
            found["position"] = []  # read only where it identifies the ticket
        if not self._of_pretix(present):
            found |= {field: [] for field in STATUS_FIELDS}
        return {field: columns for field, columns in found.items() if columns}

    def absent(self, names: Container[str]) -> list[str]:
        """Chosen columns that are not among `names`."""
        return [name for known, name in self._chosen.items() if known not in names]

    def knows(self, fields: Mapping[str, object]) -> bool:
        """Whether these columns identify tickets at all."""
        return self._has("ticket_id", fields) or self._by_position(fields)

    def slug(self, record: Record) -> str:
        """The pretix event of a row, or ""."""
        return self._value("slug", record.fields)

    def ticket(self, record: Record) -> ImportedTicket | LeftOut | WrongRow:
        """The ticket in a row without a problem, or the reason why the row is left out or wrong."""
        try:
            ticket_id = self._ticket_id(record.fields)
            if reason := self._reason_to_leave_out(record.fields):
                return LeftOut(record.number, f"{ticket_id} {reason}")
            return self._imported(record, ticket_id)
        except _Refused as refused:
            return WrongRow(record.number, str(refused))

    def _imported(self, record: Record, ticket_id: str) -> ImportedTicket:
        fields = record.fields
        event = self._event_of(fields)
        product = self._label("product", fields)
        if variation := self._value("variation", fields):
            product = _label("product", f"{product} – {variation}" if product else variation)
        zone = self.zone_of(event)
        not_before, not_after = (self._moment(field, fields, zone) for field in ("not_before", "not_after"))
        if not_after and not_after < not_before:
            ends, begins = (self._column(field, fields) for field in ("not_after", "not_before"))
            raise _Refused(f"column {ends!r} is a time before that of column {begins!r}")
        secret = self._value("secret", fields)
        return ImportedTicket(
            row=record.number,
            ticket_id=ticket_id,
            event=event,
            product=product,
            seat=self._label("seat", fields),
            not_before=not_before,
            not_after=not_after,
            holder=self._holder(fields),
            secret_digest=hashlib.sha256(secret.encode()).digest() if secret else b"",
            order=self._value("order", fields),
        )

    def _by_position(self, fields: Mapping[str, object]) -> bool:
        """Whether order and position identify the ticket, because no better column does."""
        return self._has_position(fields) and not self._id_chosen and PLAIN_ID not in fields

    def _of_pretix(self, fields: Mapping[str, object]) -> bool:
        """Whether a row is an order position, which may be cancelled or unpaid, whatever column identifies
        its ticket."""
        return fields.keys() >= PRETIX or (self._has_position(fields) and PLAIN_ID not in fields)

    def _has_position(self, fields: Mapping[str, object]) -> bool:
        return self._has("order", fields) and self._has("position", fields)

    def _event_of(self, fields: Mapping[str, str]) -> str:
        event = self._value("event", fields)
        if not event:
            return self._event or DEFAULT_EVENT
        if not is_name(event) or len(event) > EVENT_LENGTH_MAX:
            raise _Refused(
                f"event {event[:80]!r} is not 1 to {EVENT_LENGTH_MAX} of A-Z a-z 0-9 . _ : - "
                f"(the column is not read with {self.named.column.format('event=')})"
            )
        if self._event and event != self._event:
            raise _Refused(f"belongs to event {event!r}, not to {self._event!r}")
        return event

    def _ticket_id(self, fields: Mapping[str, str]) -> str:
        if self._by_position(fields):
            order, position = self._value("order", fields), self._value("position", fields)
            if not (order and position):
                raise _Refused("has no order code" if not order else "has no position id")
            if not POSITION.fullmatch(position):
                raise _Refused(f"position id {position[:40]!r} is not a whole number, 1 or more")
            ticket_id = f"{order}-{position}"
        else:
            ticket_id = self._value("ticket_id", fields)
        if not ticket_id:
            raise _Refused("has no ticket id")
        if not is_name(ticket_id):
            raise _Refused(
                f"ticket id {ticket_id[:140]!r} is not 1 to 128 of A-Z a-z 0-9 . _ : -"
                " with a letter or digit first"
            )
        return ticket_id

    def _reason_to_leave_out(self, fields: Mapping[str, str]) -> str:
        if not self._of_pretix(fields):
            return ""
        blocked = self._value("blocked", fields).lower()
        if blocked in YES:
            return "is blocked"
        if blocked not in NO:
            raise _Refused(f"has {blocked[:40]!r} in the column for blocked, not yes or no")
        if self._value("testmode", fields).lower() in YES:
            return "was ordered in test mode"
        status = self._value("status", fields).lower()
        if status in PAID or (status == "pending" and self._include_pending):
            return ""
        if status in LEFT_OUT:
            return f"is {status}"
        raise _Refused(f"has an unknown status {status[:40]!r}")

    def _holder(self, fields: Mapping[str, str]) -> Holder:
        street, zip_code, city, country = (
            self._value(field, fields) for field in ("street", "zip", "city", "country")
        )
        place = " ".join(filter(None, (zip_code, city)))
        return Holder(
            name=self._value("name", fields),
            email=self._value("email", fields),
            phone=self._value("phone", fields),
            company=self._value("company", fields),
            address=", ".join(filter(None, (street, place, country))),
        )

    def _moment(self, field: str, fields: Mapping[str, str], zone: tzinfo) -> int:
        text = self._value(field, fields)
        if not text:
            return 0
        said = f"column {self._column(field, fields)!r}: {text[:40]!r}"
        try:
            moment = read_moment(text, zone, ends=field == "not_after")
        except NoMoment as error:
            raise _Refused(f"{said} {error}") from error
        seconds = int(moment.at.timestamp())
        if seconds <= 0:
            raise _Refused(f"{said} is before 1970")
        if seconds > SECONDS_MAX:
            raise _Refused(f"{said} is after 9999-12-31 23:59:59 UTC")
        return seconds * MICROSECONDS

    def _label(self, field: str, fields: Mapping[str, str]) -> str:
        return _label(field, self._value(field, fields))

    def _value(self, field: str, fields: Mapping[str, str]) -> str:
        """The first non-empty column of a field."""
        return next((value for name in self._names[field] if (value := fields.get(name))), "")

    def _column(self, field: str, fields: Mapping[str, str]) -> str:
        """The column that `_value` reads, as it was chosen, else normalised."""
        name = next(name for name in self._names[field] if fields.get(name))
        return self._chosen.get(name, name)

    def _has(self, field: str, fields: Mapping[str, object]) -> bool:
        return any(name in fields for name in self._names[field])


def _label(field: str, text: str) -> str:
    if len(text) > LABEL_LENGTH_MAX:
        raise _Refused(f"{field} is longer than {LABEL_LENGTH_MAX} characters")
    if not is_text(text):
        raise _Refused(f"{field} contains a control character")
    return text
