"""What a file says otherwise than the network, and the operations that settle it once they are confirmed.

Whatever a file says, nothing here unblocks a ticket, makes a replaced code valid again or undoes an entry.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
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
}
"""Kind of difference -> its words, in the order in which the operations of one ticket are sent."""
LEFT = {
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
    "not_before": ("valid from", ("not_before",)),
    "not_after": ("valid until", ("not_after",)),
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
    reason: str = ""
    """cancel and block: what the source says."""
    at: int = 0
    """entry: its time, Unix microseconds, 0 unknown; and where it was."""
    gate: str = ""
    device: str = ""
    why: str = ""
    """Why it cannot be ordered; "" if it can."""

    @property
    def key(self) -> str:
        """Names what is ordered if this is confirmed; it tells nothing of a person or a code."""
        ordered = [f"{one.field} {one.old!r} {one.new!r}" for one in self.fields if self.kind == "change"]
        said = (
            self.kind,
            self.event,
            self.ticket_id,
            tuple(ordered),
            self.digests,
            self.reason,
            self.at,
            self.gate,
            self.device,
        )
        return f"{self.kind}:{hashlib.sha256(canonical.encode(said)).hexdigest()[:32]}"


class Differences(msgspec.Struct):
    """The file against the network. Each ticket of the plan is new, the same, different or unclear."""

    new: list[ImportedTicket] = []
    """Not in the network: to be issued."""
    same: int = 0
    """Tickets of which nothing is said otherwise."""
    found: list[Difference] = []
    """What can be ordered once it is confirmed."""
    unchanged: list[Difference] = []
    """What stays as it is, with the reason; only said."""
    gone: list[StoredTicket] = []
    """Of an earlier file of this source and in no row of this one, unless blocked; only said. The ticket of a
    wrong row may be among them."""
    unclear: list[WrongRow] = []
    """Rows of which it cannot be said which ticket they are: nothing is issued or ordered for them."""

    def counts(self) -> dict[str, int]:
        """Number of differences that can be ordered, of each kind."""
        counted = Counter(one.kind for one in self.found)
        return {kind: counted[kind] for kind in KINDS}


def requests_of(differences: Differences, confirmed: Collection[str]) -> list[Request]:
    """The operations for the differences of which the key or the kind is in `confirmed`, those of one ticket
    in the order of KINDS. Another holder needs none (holders.change_holders)."""
    order = list(KINDS)
    wanted = [one for one in chosen(differences, confirmed) if one.kind != "holder"]
    wanted.sort(key=lambda one: (one.row, one.event, one.ticket_id, order.index(one.kind)))
    return [Request(_command(one), one.ticket_id, one.event, texts=one.codes) for one in wanted]


def row_of(differences: Differences, request: Request) -> int:
    """The row of the file from which a request of `requests_of` comes."""
    place = request.event, request.ticket
    return next(one.row for one in differences.found if (one.event, one.ticket_id) == place)


def chosen(differences: Differences, confirmed: Collection[str]) -> list[Difference]:
    """The differences that can be ordered, of which the kind or the key is in `confirmed`."""
    return [one for one in differences.found if one.kind in confirmed or one.key in confirmed]


def not_ordered(differences: Differences, confirmed: Collection[str]) -> list[str]:
    """What could be ordered and was not confirmed, a sentence for each kind."""
    ordered = Counter(one.kind for one in chosen(differences, confirmed))
    sentences = []
    for kind, count in differences.counts().items():
        if left := count - ordered[kind]:
            noun, so = LEFT[kind]
            verb = "was" if left == 1 else "were"
            sentences.append(f"{counted(left, noun)} {verb} not ordered: {so}.")
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
    elif one.at or one.reason:
        said = f"{KINDS[one.kind]}: {shown_moment(one.at, zone) or one.reason}"
    else:
        said = KINDS[one.kind]
    return f"{one.ticket_id}: {said}{f'; stays as it is: {one.why}' if one.why else ''}"


def _told(change: FieldChange, zone: tzinfo, *, shown: bool) -> str:
    name = (TERMS | PERSON)[change.field][0]
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
