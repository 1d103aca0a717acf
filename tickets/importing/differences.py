"""What a file says otherwise than the network, and the operations that settle it once they are confirmed.

Whatever a file says, nothing here unblocks a ticket, makes a replaced code valid again or undoes an entry. A
ticket that is gone from the file is blocked only if somebody says so: a part of a file looks the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import tzinfo
from typing import Any

import msgspec

from dtvn.api.ordering import Decision, Request
from dtvn.machine import Block, ChangeTicket, Command, ImportEntry, Replace, reasons
from dtvn.protocol import canonical
from dtvn.wording import counted
from tickets.importing.imported import Holder, ImportedTicket, WrongRow
from tickets.importing.moments import shown_moment

KINDS = {
    "change": "changed",
    "holder": "another holder",
    "replace": "code replaced",
    "cancel": "cancelled since",
    "block": "blocked since",
    "entry": "entered elsewhere since",
    "gone": "gone from the file",
}
"""Kind of difference -> its words, in the order in which the operations of one ticket are sent."""
NEW = "new"
SHOWN_KINDS = {NEW: "new"} | KINDS
"""What of a file is shown and confirmed: its new tickets, which are no difference, and the kinds."""
UNASKED = frozenset(KINDS) - {"gone"}
"""The kinds that are ordered without a person, for a source that is trusted."""
MEANS = {
    NEW: "The ticket is issued, and opens the door.",
    "change": "Product, seat and validity become those of the file.",
    "holder": "The platform's table gets the person in the file; the log holds none.",
    "replace": "The codes of the file open; those of before answer “revoked”.",
    "cancel": "The ticket is blocked, with the status in the file as the reason.",
    "block": "The ticket is blocked, with the reason in the file.",
    "entry": "The entry is recorded; the ticket does not open once more.",
    "gone": "The ticket is blocked with the reason “no longer in the seller's file”. A part of "
    "a file, or a wrong row, looks the same: tick only what you know to be cancelled.",
}
"""SHOWN_KINDS -> what is done once it is confirmed."""
KEY_DIGITS = 32
GONE_REASON = "no longer in the seller's file"
LEFT = {
    NEW: ("new ticket", "these guests are not found at the gate"),
    "change": ("changed ticket", "the network keeps what it had"),
    "holder": ("changed holder", "the stored holders stay"),
    "replace": ("replaced code", "the old codes still open the door"),
    "cancel": ("cancellation", "these guests still come in"),
    "block": ("block", "these guests still come in"),
    "entry": ("check-in", "these guests can enter once more"),
}
"""Kind of difference -> its noun, and what holds if it is not ordered."""
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
REPEATED = {Block: reasons.ALREADY_BLOCKED, ImportEntry: reasons.ALREADY_CONSUMED}


class StoredTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket of the network. Times are Unix microseconds, 0: no bound."""

    event: str
    ticket_id: str
    state: str = "ISSUED"
    """ISSUED, VALIDATED, CONSUMED or DISPUTED."""
    product: str = ""
    seat: str = ""
    not_before: int = 0
    not_after: int = 0
    blocked: bool = False
    block_reason: str = ""
    entries: int = 1
    """How many persons it admits."""
    entries_made: int = 0
    """How many entries stand on the list `main`."""
    codes: tuple[bytes, ...] = ()
    """Digests of the valid codes, and below of those that were replaced."""
    revoked: tuple[bytes, ...] = ()
    holder: Holder = Holder()
    order: str = ""
    erased: bool = False
    """Whether its holder was erased: then nothing about a person is stored for it again."""
    of_source: bool = False
    """Whether an earlier file of the same source gave it a code."""


class Network(msgspec.Struct, frozen=True):
    """What is stored of the events of a file."""

    tickets: Mapping[tuple[str, str], StoredTicket]
    """(event, ticket id) -> ticket: all that a row may be, and all of the same source."""
    salts: Mapping[str, bytes]
    """Event -> salt of its codes, 32 bytes."""
    ids_are_codes: Collection[str] = ()
    """Events in which the id of a ticket opens it."""


class FieldChange(msgspec.Struct, frozen=True):
    """A field with the stored value and that of the file: texts, or Unix microseconds."""

    field: str
    old: str | int
    new: str | int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a file says otherwise of a ticket in the network."""

    kind: str
    """A key of KINDS."""
    row: int
    event: str
    ticket_id: str
    """As the network has it."""
    fields: tuple[FieldChange, ...] = ()
    codes: tuple[str, ...] = ()
    """replace: all codes that are valid afterwards; and their digests."""
    digests: tuple[bytes, ...] = ()
    before: tuple[bytes, ...] = ()
    """replace: the digests that are valid before."""
    reason: str = ""
    """cancel, block and gone: why it is blocked."""
    at: int = 0
    """entry: its time, Unix microseconds, 0 unknown; and where it was."""
    gate: str = ""
    device: str = ""
    entries: int = 1
    """entry: how many guests have entered, each of whom has an entry of the ticket."""
    why: str = ""
    """Why it cannot be ordered; "" if it can."""
    about: tuple[str, ...] = ()
    """Whose ticket it is, and for what, as the network has it: for people, no part of the key."""

    @property
    def key(self) -> str:
        """Names what is shown, and ordered if it is confirmed. It is kept where the words are, no longer: who
        has it can test guesses about a person."""
        said = (
            self.kind,
            self.event,
            self.ticket_id,
            tuple(f"{one.field} {one.old!r} {one.new!r}" for one in self.fields),
            self.digests,
            self.before,
            self.reason,
            self.at,
            self.gate,
            self.device,
            self.entries,
        )
        return _digest(said)


def key_of_new(ticket: ImportedTicket) -> str:
    """As Difference.key, of a ticket that is new: the same also once it is in the network."""
    return _digest((NEW, ticket.event, ticket.row, ticket.codes))


def _digest(said: tuple[object, ...]) -> str:
    return hashlib.sha256(canonical.encode(said)).hexdigest()[:KEY_DIGITS]


class Differences(msgspec.Struct):
    """The file against the network. Each ticket of the plan is new, the same, different or unclear."""

    new: list[ImportedTicket] = []
    """Not in the network: to be issued."""
    same: int = 0
    """Tickets of which nothing is said otherwise."""
    found: list[Difference] = []
    """What can be ordered once it is confirmed, without `gone`."""
    unchanged: list[Difference] = []
    """What stays as it is, with the reason; only said."""
    gone: list[Difference] = []
    """Of an earlier file of this source and in no row of this one, unless blocked. The ticket of a wrong row
    may be among them."""
    matched: dict[tuple[str, str], str] = {}
    """(event, id in the file) -> id of its ticket in the network, if it has one."""
    unclear: list[WrongRow] = []
    """Rows of which it cannot be said which ticket they are: nothing is issued or ordered for them."""

    def orderable(self) -> list[Difference]:
        """All that can be ordered once it is confirmed, in the order of the file."""
        return self.found + self.gone

    def counts(self) -> dict[str, int]:
        """Number of new tickets, and of differences that can be ordered, of each kind."""
        counted = Counter(one.kind for one in self.orderable())
        return {kind: len(self.new) if kind == NEW else counted[kind] for kind in SHOWN_KINDS}


def requests_of(chosen: Iterable[Difference]) -> list[tuple[Difference, Request]]:
    """Each of these differences with the operations that settle it, those of one ticket in the order of
    KINDS. Another holder needs none (holders.change_holders)."""
    order = list(KINDS)
    wanted = [one for one in chosen if one.kind != "holder"]
    wanted.sort(key=lambda one: (one.row, one.event, one.ticket_id, order.index(one.kind)))
    return [
        (one, Request(_command(one), one.ticket_id, one.event, texts=one.codes))
        for one in wanted
        for _ in range(one.entries)
    ]


def chosen(differences: Differences, confirmed: Collection[str]) -> list[Difference]:
    """The differences that can be ordered, of which the kind or the key is in `confirmed`."""
    return [one for one in differences.orderable() if one.kind in confirmed or one.key in confirmed]


def not_ordered(left: Mapping[str, int]) -> list[str]:
    """What could be ordered and was not confirmed, a sentence for each kind with its number. That tickets are
    gone is no order that was left out."""
    sentences = []
    for kind, (noun, so) in LEFT.items():
        if count := left.get(kind, 0):
            verb = "was" if count == 1 else "were"
            sentences.append(f"{counted(count, noun)} {verb} not ordered: {so}.")
    return sentences


def is_done(decision: Decision) -> bool:
    """Whether the network is now as the difference says, by this operation or by an earlier one."""
    return decision.code in (reasons.OK, REPEATED.get(type(decision.request.command)))


def sentence(one: Difference, zone: tzinfo, *, personal: bool = True) -> str:
    """The difference in words; `personal`: with what it says of a person. No code is shown."""
    if one.kind == "block" and one.why:
        said = f"admits in the file and is blocked in the network ({one.reason or 'no reason'})"
    elif one.fields:
        shown = personal or one.kind == "change"
        said = "; ".join(_told(change, zone, shown=shown) for change in one.fields)
    elif one.kind == "gone":
        said = "is in no row of the file"
    elif one.at or one.reason:
        said = f"{KINDS[one.kind]}: {shown_moment(one.at, zone) or one.reason}"
    else:
        said = KINDS[one.kind]
    about = ", ".join(filter(None, one.about)) if personal else ""
    named = f"{one.ticket_id} ({about})" if about else one.ticket_id
    return f"{named}: {said}{f'; stays as it is: {one.why}' if one.why else ''}"


def _told(change: FieldChange, zone: tzinfo, *, shown: bool) -> str:
    name = (TERMS | PERSON | ENTRIES)[change.field][0]
    if not shown:
        return f"another {name}"
    old, new = (
        shown_moment(value, zone) if isinstance(value, int) else value for value in (change.old, change.new)
    )
    return f"{name} {new or 'none'}, stored {old or 'none'}"


def _command(one: Difference) -> Command:
    match one.kind:
        case "change":
            wanted: dict[str, Any] = {change.field: change.new for change in one.fields}
            return ChangeTicket(**wanted)
        case "replace":
            return Replace(one.digests)
        case "entry":
            return ImportEntry(one.at, one.gate, one.device)
        case _:
            return Block(one.reason)
