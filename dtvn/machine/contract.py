"""Builds the objects of the HTTP contract, for every process that serves them. Pure.

Field names and their order are exact. Times are microseconds in the log and Unix seconds in the contract.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dtvn.machine.commands import operation_digest
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.kinds import KINDS
from dtvn.machine.kinds.resolve import Resolve
from dtvn.machine.naming import ticket_of
from dtvn.machine.reasons import OK
from dtvn.machine.rows import TicketRow
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import read_state
from dtvn.machine.transitions import LEADS_TO, NAMES, State, kinds_to
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation

UNLISTED = frozenset(name for name, kind in KINDS.items() if not kind.plain)
"""Kinds that the plain consensus log leaves out."""
ABOUT: dict[str, frozenset[str]] = {
    "ISSUED": kinds_to(State.ISSUED),
    "VALIDATED": kinds_to(State.VALIDATED),
    "CONSUMED": kinds_to(State.CONSUMED),
    "DISPUTED": kinds_to(State.DISPUTED) | {"resolve"},
}
"""State of a ticket -> kinds that lead to it, or end it (resolve), for the filter `state=`."""
STATE_AFTER = {action: NAMES[state] for action, state in LEADS_TO.items()}
"""Kind, for `resolve` its verdict -> state of the ticket after it."""
EVENT_TYPES = {name: kind.event_type for name, kind in KINDS.items() if kind.event_type}
"""Kind -> type of the live event about an applied operation."""
REQUEST_DIGITS = 32
_THREE_FIELDS = b"\x93"
"""First byte of an admission that names neither list nor exit, if it has a code."""


def ticket_of_row(row: TicketRow) -> dict[str, Any]:
    """A Ticket of the contract, from its row."""
    return _ticket(
        row.ticket, row.state, row.data, row.validator, row.timestamp, row.clock, row.metadata, row.upheld
    )


def ticket_of_bytes(state: bytes, issued: bytes, members: Sequence[str]) -> dict[str, Any]:
    """A Ticket of the contract, from the canonical bytes of its leaf in the state. `members`: ids of all
    present and former members, in the order of the vector clock."""
    found = read_state(state)
    if found is None:
        raise ValueError("a ticket without a state")
    details = canonical.decode(Terms, issued)
    clock = {name: count for name, count in zip(members, found.clock, strict=False) if count}
    return _ticket(
        found.ticket,
        NAMES[found.state],
        details.data,
        found.validator,
        found.timestamp,
        clock,
        dict(details.metadata),
        found.state is State.UPHELD,
    )


def _ticket(
    ticket: str,
    state: str,
    data: bytes,
    validator: str,
    timestamp: int,
    clock: Mapping[str, int],
    metadata: Mapping[str, str],
    upheld: bool,
) -> dict[str, Any]:
    made = {
        "ID": ticket,
        "State": state,
        "Data": base64.b64encode(data).decode("ascii") if data else None,
        "ValidatorID": validator,
        "Timestamp": timestamp // MICROSECONDS,
        "VectorClock": clock,
        "Metadata": metadata,
    }
    return made | {"Upheld": True} if upheld else made


def consensus_record(
    *,
    sequence: int,
    index: int,
    view: int,
    request: bytes,
    ticket: str,
    kind: str,
    digest: bytes,
    timestamp: int,
    entry: str,
    code: str,
    verdict: str,
) -> dict[str, Any]:
    """A ConsensusRecord; `index`, `node_id`, `code` and `verdict` are additions to the contract, the last one
    only of a dispute that was resolved."""
    made = {
        "sequence": sequence,
        "view": view,
        "request_id": f"{request.hex()[:REQUEST_DIGITS]}-{index}",
        "ticket_id": ticket,
        "operation": kind.upper(),
        "digest": digest.hex(),
        "timestamp": timestamp // MICROSECONDS,
        "index": index,
        "node_id": entry,
        "code": code,
    }
    return made | {"verdict": verdict} if verdict else made


class Listed(msgspec.Struct, frozen=True, gc=False):
    """One ordered operation with its outcome."""

    sequence: int
    index: int
    view: int
    """View of the batch's first proposal."""
    timestamp: int
    """Effective timestamp, Unix microseconds."""
    code: str
    principal: str
    request: bytes
    """Digest of the operation's bundle."""
    operation: Operation

    @property
    def digest(self) -> bytes:
        """Hash of the operation."""
        return operation_digest(self.operation)

    @property
    def plain(self) -> bool:
        """Whether the plain consensus log shows it."""
        return self.code == OK and self.operation.kind not in UNLISTED

    @property
    def verdict(self) -> str:
        """ "clear" or "uphold" if it resolved a dispute, else ""."""
        if self.code != OK or self.operation.kind != "resolve":
            return ""
        return canonical.decode(Resolve, self.operation.payload).verdict

    @property
    def on_lists(self) -> bool:
        """Whether it is an admission to another list than `main`, or an exit: its outcome alone says what
        state that leaves."""
        return self.operation.kind == "admit" and self.operation.payload[:1] > _THREE_FIELDS

    @property
    def ticket(self) -> str:
        """The id of its ticket; "" for an admission by code, whose ticket only the state of its outcome
        names."""
        return ticket_of(self.operation, b"")

    def record(self) -> dict[str, Any]:
        """The ConsensusRecord of the contract."""
        return consensus_record(
            sequence=self.sequence,
            index=self.index,
            view=self.view,
            request=self.request,
            ticket=self.ticket,
            kind=self.operation.kind,
            digest=self.digest,
            timestamp=self.timestamp,
            entry=self.operation.entry,
            code=self.code,
            verdict=self.verdict,
        )
