"""Sending an import: every ticket once despite losses in the network, or a message why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from channels.db import database_sync_to_async

from dtvn.machine import Issue
from tests.pages.learner import RealLearner
from tests.tools.conftest import Trouble
from tests.tools.test_holders import ticket
from tickets.importing import Holder, ImportedTicket
from tickets.importing.platform import Refused
from tickets.importing.sending import Delivery, NetworkSilent, operation_of, send_tickets, settled
from validators.ledger.models import OperationRecord, Ticket

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.usefixtures("quick"),
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]


async def rows(query: Callable[[], Any]) -> Any:
    """Ask the learner's rows in a thread that closes its connection afterwards."""
    return await database_sync_to_async(query)()


def many(count: int) -> list[ImportedTicket]:
    return [ticket(number, Holder()) for number in range(count)]


async def send(
    client: httpx.AsyncClient, tickets: list[ImportedTicket], **options: Any
) -> tuple[Delivery, int]:
    told: list[int] = []
    known: dict[str, Any] = {"patience": 20.0, "batch_size": 50, "in_flight": 3, **options}
    delivery = Delivery()
    await send_tickets(client, tickets, {}, delivery, told=told.append, **known)
    return delivery, sum(told)


async def test_all_tickets_arrive_in_batches(client: httpx.AsyncClient, trouble: Trouble) -> None:
    delivery, told = await send(client, many(420))
    assert (delivery.issued, delivery.existed, delivery.wrong, told) == (420, 0, [], 420)
    assert trouble.requests == 9


async def test_no_ticket_is_lost_or_issued_twice_on_a_bad_network(
    client: httpx.AsyncClient, trouble: Trouble, learner: RealLearner
) -> None:
    trouble.share = 0.2
    delivery, told = await send(client, many(900))
    assert trouble.lost > 5
    assert (delivery.issued + delivery.existed, told) == (900, 900)
    issued = OperationRecord.objects.filter(operation="issue", code="ok")
    assert await rows(Ticket.objects.count) == 900
    assert await rows(issued.count) == 900


async def test_a_second_run_finds_everything_there(client: httpx.AsyncClient) -> None:
    await send(client, many(60))
    delivery, _ = await send(client, many(80))
    assert (delivery.issued, delivery.existed) == (20, 60)


async def test_an_import_uses_up_no_nonces(client: httpx.AsyncClient, learner: RealLearner) -> None:
    """The gates need them: a cluster remembers a bounded number per gateway (R13)."""
    await send(client, many(50))
    assert "nonce" not in operation_of(ticket(1), b"c" * 32)


async def test_the_ordered_ticket_has_the_fields_of_its_row(client: httpx.AsyncClient) -> None:
    imported = ImportedTicket(
        row=2,
        ticket_id="ABC12-1",
        event="gala",
        product="Pass – Adult",
        seat="A1",
        not_before=1_700_000_000_000_000,
        not_after=1_800_000_000_000_000,
        holder=Holder("Ada"),
    )
    commitments = {"ABC12-1": b"c" * 32}
    delivery = Delivery()
    await send_tickets(client, [imported], commitments, delivery, patience=5, told=lambda _: None)
    assert delivery.issued == 1
    stored = await rows(Ticket.objects.get)
    row = stored.whole
    assert (row.event, row.product, row.seat, row.commitment) == ("gala", "Pass – Adult", "A1", b"c" * 32)
    assert Issue(row.not_before, row.not_after) == Issue(1_700_000_000_000_000, 1_800_000_000_999_999)
    assert b"Ada" not in bytes(stored.row)


async def test_an_import_gives_up_on_a_silent_network_after_its_timeout(
    client: httpx.AsyncClient, learner: RealLearner
) -> None:
    learner.gateway.quorum = False
    with pytest.raises(NetworkSilent):
        await send(client, many(10), patience=0.05, in_flight=1)


async def test_a_wrong_key_is_reported_at_once(client: httpx.AsyncClient, trouble: Trouble) -> None:
    client.headers["X-API-Key"] = "dtvn_wrong"
    with pytest.raises(Refused, match="API key was refused"):
        await send(client, many(200), in_flight=1)
    assert trouble.requests == 1


async def test_a_refused_ticket_is_reported_by_its_row(client: httpx.AsyncClient) -> None:
    wrong = ticket(7, Holder())
    delivery = Delivery()
    assert settled(wrong, {"status": 403, "code": "not_permitted", "error": "Not here."}, delivery, set())
    assert [(row.row, row.reason) for row in delivery.wrong] == [(8, "T-7 was refused: Not here.")]


async def test_a_refusal_is_final_only_if_nothing_before_it_is_in_doubt() -> None:
    """The first sending may have been done, and its answer lost."""
    delivery, no, tickets = Delivery(), {"status": 403, "code": "not_permitted"}, many(5)
    unknown, unsent = {"status": 504, "code": "outcome_unknown"}, {"status": 503, "code": "unavailable"}
    for number, results in enumerate(([no], [unknown, no], [unsent, no], [unknown, unsent], [unsent])):
        for result in results:
            settled(tickets[number], result, delivery, delivery.note_sent([tickets[number]]))
    assert delivery.possible == {"T-1", "T-3"}
    settled(tickets[4], {"status": 409, "code": "ticket_exists"}, delivery, delivery.note_sent([tickets[4]]))
    assert "T-4" in delivery.possible


async def test_a_refused_batch_is_not_in_the_network(client: httpx.AsyncClient, trouble: Trouble) -> None:
    client.headers["X-API-Key"] = "dtvn_wrong"
    delivery = Delivery()
    with pytest.raises(Refused):
        await send_tickets(client, many(3), {}, delivery, patience=5, told=lambda _: None)
    assert (trouble.requests, delivery.possible) == (1, set())
