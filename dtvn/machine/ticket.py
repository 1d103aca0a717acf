"""One ticket: the encoding of its changing state, and the compact object that memory holds a million times.

The bytes of a `TicketState` are the ticket's state in outcomes, in its leaf of the state tree and in memory:
it is encoded once per change. What the ticket is worth (window, product, codes, block) are its `Terms`, bytes
beside it, which other operations change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec

from dtvn.machine.movements import Visit
from dtvn.machine.rows import TicketBytes, TicketHead, TicketRow
from dtvn.machine.terms import Terms
from dtvn.machine.transitions import NAMES, State, state_of
from dtvn.protocol import canonical


class TicketState(TicketHead, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """State of a ticket after its last change; `Outcome.state` is its canonical bytes."""

    timestamp: int
    """Effective timestamp of the last change, Unix microseconds."""
    sequence: int
    index: int
    """Index in its batch of the operation that made the last change, which is at (sequence, index)."""
    operation: str
    """Kind of the operation that made the last change."""
    principal: str
    actor: str
    nonce: bytes
    """Nonce of the last change: by (principal, actor, nonce) a late retry of it is recognised (R13)."""
    gate: str
    device: str
    """Device of the last change at `gate`, if that was an entry or an exit; both are "" else."""
    note: str
    """Reason given with a dispute."""
    clock: tuple[int, ...]
    """Vector clock of the last change: applied operations by entry node, in genesis member order."""


class AnsweredState(TicketState, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A TicketState and what a gate is told with it: `Outcome.state` of the kinds and forms that came with
    codes. It names its ticket, which an admission by code does not."""

    product: str
    seat: str
    not_before: int
    not_after: int
    blocked: bool
    block_reason: str
    entered_at: int
    """See Terms."""
    product_added: bool
    """Whether this operation added the product to those of its event."""


class ListedState(AnsweredState, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An AnsweredState of a ticket that did, or may do, more than to enter `main` once."""

    visit: Visit


ANSWERED_HEAD = b"\xdc\x00\x17"
"""How the bytes of an AnsweredState begin: an array of 23 fields. A TicketState, of 15, begins with 0x9f."""
LISTED_HEAD = b"\xdc\x00\x18"
"""How those of a ListedState begin."""
ANSWERED_HEADS = (ANSWERED_HEAD, LISTED_HEAD)
"""States that name their ticket, for bytes.startswith."""


class Seeded(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """`Outcome.state` of a seed: how many tickets it created."""

    created: int


class Ticket(msgspec.Struct, eq=False, gc=False):
    """A ticket in memory, about 500 bytes in all; the two byte strings are canonical."""

    state: bytes
    """Bytes of the TicketState."""
    issued: bytes
    """Bytes of the Terms."""
    leaf: bytes
    """The ticket's leaf in the state tree."""
    place: int
    """The ticket's bucket in the state tree."""
    number: int
    """The ticket's position in the order of creation, from 1."""
    status: State
    validator: str
    """Copied from `state`, as is `status`; the window is copied from `issued`. Nearly every change reads
    these fields."""
    not_before: int
    not_after: int

    @property
    def plain(self) -> bool:
        """Whether its terms are of the first form, so that it has neither codes nor a block."""
        return self.issued[0] == FIRST_TERMS


FIRST_TERMS = 0x90 + Terms.first_form
"""First byte of terms of the first form."""
read_packed = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode
"""(state, issued) in the canonical bytes of both; raises msgspec.MsgspecError if damaged."""
read_head = msgspec.msgpack.Decoder(TicketHead).decode
read_kept_state = msgspec.msgpack.Decoder(TicketState).decode
"""The TicketState in its bytes as this node keeps them; raises msgspec.MsgspecError if damaged."""
read_terms = msgspec.msgpack.Decoder(Terms).decode
"""The Terms in their bytes as this node keeps them; raises msgspec.MsgspecError if damaged."""


def read_state(state: bytes) -> TicketState | None:
    """The TicketState in `Outcome.state` of a ticket operation, an AnsweredState or a ListedState where it is
    one; None for b"" (no such ticket). Raises CanonicalError."""
    if state.startswith(ANSWERED_HEAD):
        return canonical.decode(AnsweredState, state)
    if state.startswith(LISTED_HEAD):
        return canonical.decode(ListedState, state)
    return canonical.decode(TicketState, state) if state else None


def answered(state: bytes, terms: Terms, visit: Visit | None = None, *, product_added: bool = False) -> bytes:
    """The canonical bytes of the AnsweredState of a ticket with this TicketState and these terms; with a
    visit, of the ListedState."""
    told = (
        terms.product,
        terms.seat,
        terms.not_before,
        terms.not_after,
        terms.blocked,
        terms.block_reason,
        terms.entered_at,
        product_added,
    )
    if visit is None:
        return ANSWERED_HEAD + state[1:] + canonical.encode(told)[1:]
    return LISTED_HEAD + state[1:] + canonical.encode((*told, visit))[1:]


def is_upheld(state: bytes) -> bool:
    """Whether `Outcome.state` is that of a ticket whose dispute was upheld."""
    ticket = read_state(state)
    return ticket is not None and ticket.state is State.UPHELD


def seeded_count(state: bytes) -> int:
    """Number of tickets created, from `Outcome.state` of a seed; 0 for a repetition."""
    return canonical.decode(Seeded, state).created if state else 0


def ticket_leaf(state: bytes, issued: bytes) -> bytes:
    """Leaf of a ticket in the state tree: H(0x00, "ticket", state, issued), both self-delimiting."""
    return sha256(b"\x00ticket" + state + issued).digest()


def bytes_of(ticket: Ticket) -> TicketBytes:
    """The ticket as a node stores it. Runs for every changed ticket."""
    return TicketBytes(ticket.number, read_head(ticket.state), ticket.state, ticket.issued)


MembersAt = Callable[[int], Sequence[str]]
"""Returns the ids of all members present or former at a sequence."""


def row_of(ticket: Ticket, members_at: MembersAt) -> TicketRow:
    """The ticket as the ledger stores it."""
    return searched_row(ticket.state, ticket.issued, members_at)


def searched_row(encoded: bytes, issued: bytes, members_at: MembersAt) -> TicketRow:
    """The row of a ticket with these bytes of its TicketState and Terms. Runs for every changed ticket, so
    fields are passed by position."""
    state = read_kept_state(encoded)
    members = members_at(state.sequence)
    terms = read_terms(issued)
    counts = state.clock
    if 0 in counts:
        clock = {member: count for member, count in zip(members, counts, strict=True) if count}
    else:
        clock = dict(zip(members, counts, strict=True))
    return TicketRow(
        state.event,
        state.ticket,
        NAMES[state.state],
        state.validator,
        state.timestamp,
        state.sequence,
        state.index,
        state.operation,
        state.principal,
        state.actor,
        state.nonce,
        state.gate,
        state.device,
        state.note,
        state.state is State.UPHELD,
        clock,
        terms.product,
        terms.seat,
        terms.not_before,
        terms.not_after,
        terms.commitment,
        terms.data,
        dict(terms.metadata),
        terms.codes,
        terms.revoked,
        terms.blocked,
        terms.block_reason,
        terms.entered_at,
        terms.changed,
        terms.entries,
        terms.counts,
        terms.movements,
    )


def parse_row(row: TicketRow, members: Sequence[str]) -> tuple[bytes, bytes]:
    """The (state, issued) bytes from which `row_of` made the row."""
    state, terms = read_row(row, members)
    return canonical.encode(state), canonical.encode_trimmed(terms)


def read_row(row: TicketRow, members: Sequence[str] = ()) -> tuple[TicketState, Terms]:
    """The same as values; without members, without their clock."""
    state = TicketState(
        event=row.event,
        ticket=row.ticket,
        state=state_of(row.state, upheld=row.upheld),
        validator=row.validator,
        timestamp=row.timestamp,
        sequence=row.sequence,
        index=row.index,
        operation=row.operation,
        principal=row.principal,
        actor=row.actor,
        nonce=row.nonce,
        gate=row.gate,
        device=row.device,
        note=row.note,
        clock=tuple(row.clock.get(member, 0) for member in members),
    )
    terms = Terms(
        not_before=row.not_before,
        not_after=row.not_after,
        product=row.product,
        seat=row.seat,
        commitment=row.commitment,
        data=row.data,
        metadata=tuple(sorted(row.metadata.items())),
        codes=row.codes,
        revoked=row.revoked,
        blocked=row.blocked,
        block_reason=row.block_reason,
        entered_at=row.entered_at,
        changed=row.changed,
        entries=row.entries,
        counts=row.counts,
        movements=row.movements,
    )
    return state, terms
