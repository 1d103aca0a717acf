"""The routes that read tickets and the consensus log, from any ledger that can list them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from dtvn.api.answers import Answer, success
from dtvn.api.calls import Call
from dtvn.api.errors import SEQUENCE_HEADER, not_found
from dtvn.api.queries import RecordsQuery, TicketsQuery, next_link
from dtvn.machine.fields import is_name


class Page(msgspec.Struct, frozen=True):
    """A part of a list, as JSON objects of the contract."""

    items: list[dict[str, Any]]
    total: int
    """Length of the whole list."""
    more: bool
    sequence: int = 0
    """Place in the log that the page reflects, if it was read with the page."""


class TicketLedger(Protocol):
    """The ledger that a process answers from: a node's own, or the platform's copy."""

    def read_ticket(self, event: str, ticket_id: str) -> dict[str, Any] | None:
        """The Ticket of the contract, or None."""

    def list_tickets(self, query: TicketsQuery) -> Page:
        """Tickets of the contract."""

    def list_records(self, query: RecordsQuery) -> Page:
        """ConsensusRecords of the contract."""


def answer_page(
    call: Call, ledger: TicketLedger, query: TicketsQuery | RecordsQuery, sequence: int
) -> Answer:
    """A page with the length of its list, and a link to the next one. `sequence`: what the ledger reflected
    before the page was read."""
    if isinstance(query, TicketsQuery):
        page = ledger.list_tickets(query)
        last = page.items[-1]["ID"] if page.more else ""
    else:
        page = ledger.list_records(query)
        last = "{sequence}.{index}".format_map(page.items[-1]) if page.more else ""
    headers = {"X-Total-Count": str(page.total)}
    if page.more:
        headers["Link"] = next_link(call.path, call.pairs, last)
    return success(data=page.items, sequence=max(sequence, page.sequence), headers=headers)


def answer_ticket(
    ticket: dict[str, Any] | None, sequence: int, headers: Mapping[str, str] | None = None
) -> Answer:
    """One ticket; raise 404 while it is not there. `sequence`: what the ledger reflected."""
    if ticket is None:
        raise not_found({SEQUENCE_HEADER: str(sequence), **(headers or {})})
    return success(data=ticket, sequence=sequence, headers=headers)


def read_ticket(ledger: TicketLedger, event: str, ticket_id: str) -> dict[str, Any] | None:
    """The ticket, None also for a name that no ticket can have."""
    return ledger.read_ticket(event, ticket_id) if is_name(ticket_id) else None
