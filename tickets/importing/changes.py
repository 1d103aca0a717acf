"""What an import would change in the network: new tickets, and what a file says otherwise of those there.

Whatever a file says, nothing here unblocks a ticket, makes a replaced code valid again or undoes an entry. A
ticket that is gone from the file is blocked only if somebody says so: a part of a file looks the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import msgspec

from dtvn.api.bodies import convert, request_of
from dtvn.api.ordering import Request
from dtvn.machine import Block, Command, ImportEntry, Replace
from dtvn.machine.codes import VALID_MAX, code_digest
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.kinds import OPERATIONS
from dtvn.protocol import canonical
from tickets.importing.imported import ImportedTicket, WrongRow
from tickets.importing.kinds import KINDS, NEW, SHOWN_KINDS
from tickets.importing.moments import shown_moment

KEY_DIGITS = 32
TERMS = {
    "product": ("product", ("product", "variation")),
    "seat": ("seat", ("seat",)),
    "not_before": ("valid from", ("not_before", "day")),
    "not_after": ("valid until", ("not_after", "day")),
}
"""Field of a ticket -> its name in a sentence, and the fields of a file that it is read from."""
PERSON = {
    "name": ("name", ("name", "first_name", "last_name")),
    "email": ("e-mail", ("email",)),
    "phone": ("phone", ("phone",)),
    "company": ("company", ("company",)),
    "address": ("address", ("street", "zip", "city", "country")),
    "order": ("order", ("order",)),
}
"""The same for what the platform keeps of a holder, outside the log."""
ENTRIES = {"entries": ("persons", ("quantity",))}
"""The same for how many a ticket admits, which no operation changes."""


class FieldChange(msgspec.Struct, frozen=True):
    """A field with the stored value and that of the file: texts, or Unix microseconds."""

    field: str
    old: str | int
    new: str | int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an import would change: a new ticket, or what a file says otherwise of one."""

    kind: str
    """A key of SHOWN_KINDS."""
    row: int
    event: str
    ticket_id: str
    """As the network has it."""
    ticket: ImportedTicket | None = None
    """new: what the file says of it."""
    fields: tuple[FieldChange, ...] = ()
    commands: tuple[Command, ...] = ()
    """What carries it out; () for another holder, who is not in the log, and for a new ticket."""
    texts: tuple[str, ...] = ()
    """replace: all codes that are valid afterwards."""
    before: tuple[bytes, ...] = ()
    """replace: the digests that are valid before."""
    why: str = ""
    """Why it cannot be ordered; "" if it can."""
    about: tuple[str, ...] = ()
    """Whose ticket it is, and for what, as the network has it: for people, no part of the key."""

    @property
    def key(self) -> str:
        """Names what is shown, and ordered if it is confirmed. It is kept where the words are, no longer: who
        has it can test guesses about a person."""
        if self.ticket is not None:
            return key_of_new(self.ticket)
        fields = tuple(f"{one.field} {one.old!r} {one.new!r}" for one in self.fields)
        return _digest((self.kind, self.event, self.ticket_id, fields, self.commands, self.before))

    def words(self, zone: tzinfo, *, personal: bool = True) -> str:
        """The change for people; `personal`: with what it says of a person. No code is shown."""
        if self.ticket is not None:
            about = _about_new(self.ticket) if personal else ""
            return f"{self.ticket_id}: {about or SHOWN_KINDS[self.kind]}"
        if self.kind == "block" and self.why:
            said = f"admits in the file and is blocked in the network ({self._note(zone) or 'no reason'})"
        elif self.fields:
            shown = personal or self.kind == "change"
            said = "; ".join(_field_words(change, zone, shown=shown) for change in self.fields)
        elif self.kind == "gone":
            said = "is in no row of the file"
        else:
            said = ": ".join(filter(None, (KINDS[self.kind], self._note(zone))))
        about = ", ".join(filter(None, self.about)) if personal else ""
        named = f"{self.ticket_id} ({about})" if about else self.ticket_id
        return f"{named}: {said}{f'; stays as it is: {self.why}' if self.why else ''}"

    def steps(self, salt: bytes, commitment: bytes = b"") -> list[Request]:
        """The operations that carry it out, one after another. For a new ticket, `salt`: of the event's
        codes; `commitment`: to its holder, b"" for none. Raises InvalidRequest."""
        if self.ticket is not None:
            return _steps_of_new(self.ticket, salt, commitment)
        return [Request(one, self.ticket_id, self.event, texts=self.texts) for one in self.commands]

    def _note(self, zone: tzinfo) -> str:
        """Why a ticket is blocked, or when its guest entered; "" where that is not said."""
        match self.commands[:1]:
            case (Block(reason),):
                return reason
            case (ImportEntry() as entry,):
                return shown_moment(entry.at, zone)
        return ""


def new_ticket(ticket: ImportedTicket, kind: str = NEW) -> Change:
    """The change that issues a ticket: NEW or BARRED."""
    return Change(kind=kind, row=ticket.row, event=ticket.event, ticket_id=ticket.ticket_id, ticket=ticket)


def key_of_new(ticket: ImportedTicket) -> str:
    """The key of a new ticket, which is the same once it is in the network."""
    return _digest((NEW, ticket.event, ticket.row, ticket.codes))


class Differences(msgspec.Struct):
    """The file against the network. Each ticket of the plan is new, the same, different or unclear."""

    new: list[Change] = []
    """Not in the network: to be issued."""
    begun: list[Change] = []
    """New tickets that were confirmed and are in the network by now; steps of them may be missing."""
    same: int = 0
    """Tickets of which nothing is said otherwise."""
    found: list[Change] = []
    """What else can be ordered once it is confirmed, without `gone`."""
    unchanged: list[Change] = []
    """What stays as it is, with the reason; only said."""
    gone: list[Change] = []
    """Of an earlier file of this source and in no row of this one, unless blocked. The ticket of a wrong row
    may be among them."""
    matched: dict[tuple[str, str], str] = {}
    """(event, id in the file) -> id of its ticket in the network, if it has one."""
    unclear: list[WrongRow] = []
    """Rows of which it cannot be said which ticket they are: nothing is issued or ordered for them."""

    def orderable(self) -> list[Change]:
        """All that is shown to be confirmed."""
        return [*self.new, *self.found, *self.gone]

    def counts(self) -> Counter[str]:
        """Kind -> number of changes that can be ordered."""
        return Counter(one.kind for one in self.orderable())


def _digest(said: tuple[object, ...]) -> str:
    return hashlib.sha256(canonical.encode(said)).hexdigest()[:KEY_DIGITS]


def _about_new(ticket: ImportedTicket) -> str:
    entered = "its guest has entered elsewhere" if ticket.entered else ""
    blocked = f"blocked: {ticket.block_reason}" if ticket.blocked else ""
    persons = f"for {ticket.entries}" if ticket.entries > 1 else ""
    about = (ticket.holder.name, ticket.product, ticket.seat, persons, entered, blocked)
    return ", ".join(filter(None, about))


def _field_words(change: FieldChange, zone: tzinfo, *, shown: bool) -> str:
    name = (TERMS | PERSON | ENTRIES)[change.field][0]
    if not shown:
        return f"another {name}"
    old, new = (
        shown_moment(value, zone) if isinstance(value, int) else value for value in (change.old, change.new)
    )
    return f"{name} {new or 'none'}, stored {old or 'none'}"


def _steps_of_new(ticket: ImportedTicket, salt: bytes, commitment: bytes) -> list[Request]:
    """It is issued with the codes that were replaced first, at most VALID_MAX at a time, then gets those that
    revoke them, then the entries of its guests."""
    revoked = ticket.revoked
    first, *following = [
        *(revoked[start : start + VALID_MAX] for start in range(0, len(revoked), VALID_MAX)),
        ticket.codes,
    ]
    steps = [_issue(ticket, first, salt, commitment)]
    for texts in following:
        digests = tuple(code_digest(salt, text) for text in texts)
        steps.append(Request(Replace(digests), ticket.ticket_id, ticket.event, texts=texts))
    if ticket.entered:
        entry = ImportEntry(ticket.entered_at, ticket.gate, ticket.device)
        steps += [Request(entry, ticket.ticket_id, ticket.event)] * ticket.entries_made
    return steps


def _issue(ticket: ImportedTicket, texts: Sequence[str], salt: bytes, commitment: bytes) -> Request:
    fields: dict[str, Any] = {
        "ticket_id": ticket.ticket_id,
        "event": ticket.event,
        "product": ticket.product,
        "seat": ticket.seat,
        "entries": ticket.entries,
        "not_before": ticket.not_before // MICROSECONDS,
        "not_after": ticket.not_after // MICROSECONDS,
        "blocked": ticket.blocked,
        "block_reason": ticket.block_reason,
        "commitment": commitment.hex(),
        "barcode_digests": [code_digest(salt, text).hex() for text in texts] or None,
    }
    request = request_of("issue", convert(fields, OPERATIONS["issue"].body))
    return msgspec.structs.replace(request, texts=tuple(texts))
