"""Rows of the materialised state: what `changes()` gives the ledger and `load()` takes back (R9).

| table   | key                           | row        | how to store it                          |
|---------|-------------------------------|------------|------------------------------------------|
| ticket  | (event, ticket)               | TicketRow  | real columns, searched by pages and API  |
| ticket  | (number,)                     | TicketBytes| the same, not searched (on a node)       |
| session | (sequence, index)             | SessionRow | canonical bytes                          |
| bundle  | (sequence, index, page)       | BundlePage | canonical bytes                          |
| nonce   | (sequence,)                   | NonceGroup | canonical bytes                          |
| clock   | ()                            | ClockRow   | canonical bytes                          |
| principal | (name,)                     | Principal  | canonical bytes; only what genesis does not say |
| retired | (name on the wire,)           | RetiredKey | canonical bytes                          |
| membership | (epoch,), from 1           | Membership | canonical bytes                          |
| lock    | (event, name)                 | LockRow    | canonical bytes                          |
| waiter  | (event, name, sequence, index)| WaiterRow  | canonical bytes                          |
| event   | (slug,)                       | EventRow   | canonical bytes                          |
| run     | (event, its first head)       | RunRow     | canonical bytes                          |

A row of None deletes the key, which may never have been stored (tickets are never deleted). All but
tickets fit one table of two blobs, the canonical bytes of key and row, which `change_from` reads back. The
order in which rows are loaded does not matter. Integers of a TicketRow fit a signed 64-bit column; texts
hold no control characters, so none holds a NUL, which PostgreSQL refuses.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from dtvn.machine.lists import EventList, ListCount
from dtvn.machine.movements import Movement
from dtvn.machine.principals import RetiredKey
from dtvn.machine.transitions import State
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.sessions import BundlePage, SessionRow
from dtvn.protocol.genesis import Principal

__all__ = [
    "ROW_TYPES",
    "BundlePage",
    "ClockRow",
    "EventRow",
    "LockRow",
    "NonceEntry",
    "NonceGroup",
    "RunRow",
    "SessionRow",
    "TicketBytes",
    "TicketHead",
    "TicketRow",
    "WaiterRow",
    "change_from",
]


class TicketRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """All columns of one ticket. Times are Unix microseconds of the ordered log; "" means no value."""

    first_form: ClassVar[int] = 23

    event: str
    ticket: str
    state: str
    """ISSUED, VALIDATED, CONSUMED or DISPUTED."""
    validator: str
    """Entry node of the validating operation; "" until validated (ValidatorID)."""
    timestamp: int
    """Effective timestamp of the last change."""
    sequence: int
    """Sequence of the last change."""
    index: int
    """Index in its batch of the operation that made the last change."""
    operation: str
    """Kind of the operation that made the last change, such as issue, validate or admit."""
    principal: str
    """The principal that signed the last change."""
    actor: str
    """The actor for whom the principal signed the last change."""
    nonce: bytes
    """Nonce of the last change, at most 64 bytes; a late retry of that change is always recognised (R13)."""
    gate: str
    """Gate of the last change, if that was an entry or an exit; this and `device` are "" else."""
    device: str
    note: str
    """Reason given with a dispute, at most 256 characters."""
    upheld: bool
    """True if the ticket is DISPUTED and final."""
    clock: dict[str, int]
    """Vector clock of the last change: member id to count, zeros left out."""
    product: str
    seat: str
    not_before: int
    """First microsecond at which the ticket is valid at gates; 0: no bound."""
    not_after: int
    """Last microsecond at which the ticket is valid at gates; 0: no bound."""
    commitment: bytes
    """Salted commitment to details that are kept out of the log; 32 bytes or b""."""
    data: bytes
    """The Go DTVN's `Data`; b"" for tickets whose details are kept out of the log."""
    metadata: dict[str, str]
    codes: tuple[bytes, ...] = ()
    """Digests of the valid codes; this and what follows came later than the first form of the row."""
    revoked: tuple[bytes, ...] = ()
    """Digests of the codes that were replaced."""
    blocked: bool = False
    block_reason: str = ""
    entered_at: int = 0
    """The source's time of an entry that was made elsewhere and imported; 0: unknown, or no such entry."""
    changed: bool = False
    """This and what follows: see machine.terms.Terms."""
    entries: int = 1
    counts: tuple[ListCount, ...] = ()
    movements: tuple[Movement, ...] = ()


class TicketHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first fields of a machine.ticket.TicketState: all that most transitions need to read."""

    event: str
    ticket: str
    state: State
    validator: str
    """Member id of the entry node of the validation, "" until validated."""


class TicketBytes(msgspec.Struct, frozen=True, gc=False):
    """One ticket as a node stores it: in the format kept in memory, at half the cost of a TicketRow."""

    number: int
    """The ticket's position in the order of creation, from 1: the same on every replica, never reused."""
    head: TicketHead
    """First fields of `state`, decoded once for the checks of the ledger and for loading."""
    state: bytes
    """Canonical bytes of the TicketState."""
    issued: bytes
    """Canonical bytes of the Terms."""


class NonceEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first outcome of an operation with a nonce (R13)."""

    principal: str
    actor: str
    nonce: bytes
    request: bytes
    """Hash of the operation without its transport fields (commands.request_digest)."""
    code: int
    """Number of its outcome code (reasons.py)."""
    index: int


class NonceGroup(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All nonces first used at one sequence: they are hashed, stored and forgotten together."""

    keep_until: int
    """Batch time after which the group is dropped: its latest `valid_until` plus an hour."""
    entries: tuple[NonceEntry, ...]


class ClockRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Applied operations by entry node, in order of the genesis member list (VectorClock)."""

    counts: tuple[int, ...]


class RunRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is recorded of one run of agent events: the operation `record` moves it on, and returns it."""

    principal: str
    """The principal that began the run; no other may continue it."""
    began: int
    """Sequence of its first record."""
    sequence: int
    """Sequence of its last record."""
    index: int
    """Index in its batch of the last record."""
    timestamp: int
    """Effective timestamp of the last record, Unix microseconds."""
    position: int
    """Number of recorded events, refused ones included."""
    refused: int
    """Number of recorded events that the validators refused; 0: the run is valid so far."""
    head: bytes
    """dtvn.events.judging.next_head of the last record."""
    state: bytes
    """Digest of the rule state after the last recorded event."""
    ended: bool


class EventRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that somebody created (`declared`), or in which a ticket has a code; `Outcome.state` of
    set_event is its canonical bytes. The row's key in the table is the event's slug."""

    first_form: ClassVar[int] = 11

    name: str
    """Display name, "" for none."""
    zone: str
    """Name in the IANA time zone database, "" for none; the core checks only its form."""
    doors: int
    """When the doors open, Unix microseconds; 0: not said."""
    ids_are_codes: bool
    """Whether a scanned text may be the id of a ticket."""
    products: tuple[tuple[str, bool], ...]
    """(name, whether it admits), ascending by name."""
    declared: bool
    """False: the event was not created; then all but the salt has its default."""
    salt: bytes
    """Salt of the event's codes, 32 bytes; never changes, not even in a cluster that continues this one."""
    version: int
    """Version of the normalisation of its codes."""
    sequence: int
    index: int
    timestamp: int
    """Sequence, index and effective timestamp (Unix microseconds) of the row's last change."""
    lists: tuple[EventList, ...] = ()
    """Those that are written down, ascending by slug; `main` is there besides."""


class LockRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A lock that is held."""

    principal: str
    holder: bytes
    token: int
    """Every later lease has a higher token, of whatever lock."""
    ends: int
    """Last microsecond of batch time at which it is held."""


class WaiterRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place in the queue of a lock that another one holds."""

    principal: str
    holder: bytes
    lease: int
    """Microseconds for which it will hold the lock, from the moment at which it is handed on."""
    until: int
    """Last microsecond of batch time at which it waits."""


ROW_TYPES: dict[str, type[Any]] = {
    "ticket": TicketRow,
    "session": SessionRow,
    "bundle": BundlePage,
    "nonce": NonceGroup,
    "clock": ClockRow,
    "principal": Principal,
    "retired": RetiredKey,
    "membership": Membership,
    "run": RunRow,
    "lock": LockRow,
    "event": EventRow,
    "waiter": WaiterRow,
}


def change_from(table: str, key: bytes, row: bytes) -> ApplicationChange:
    """Decodes a stored (key, row) pair for `load`; raises CanonicalError if it is damaged."""
    if table == "ticket":
        raise ValueError("tickets are stored in columns, not as canonical bytes")
    return ApplicationChange(
        table=table,
        key=canonical.decode(tuple, key),
        row=canonical.decode(ROW_TYPES[table], row),
    )
