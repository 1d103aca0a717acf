"""Tickets of a rehearsal: every one is issued once despite losses in the network, or a message why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from channels.db import database_sync_to_async

from tests.pages.learner import RealLearner
from tests.tools.conftest import Trouble
from tests.tools.test_holders import ticket
from tickets.importing import Holder, ImportedTicket
from tickets.importing.platform import NetworkSilent, Refused
from tickets.scanning.issuing import issue_tickets
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


async def send(client: httpx.AsyncClient, tickets: list[ImportedTicket], **options: Any) -> None:
    await issue_tickets(client, tickets, **{"patience": 20.0, "batch_size": 50, **options})


async def test_all_tickets_arrive_in_batches(client: httpx.AsyncClient, trouble: Trouble) -> None:
    await send(client, many(420))
    assert (await rows(Ticket.objects.count), trouble.requests) == (420, 9)


async def test_no_ticket_is_lost_or_issued_twice_on_a_bad_network(
    client: httpx.AsyncClient, trouble: Trouble, learner: RealLearner
) -> None:
    trouble.share = 0.2
    await send(client, many(900))
    assert trouble.lost > 5
    issued = OperationRecord.objects.filter(operation="issue", code="ok")
    assert await rows(Ticket.objects.count) == 900
    assert await rows(issued.count) == 900


async def test_a_rehearsal_gives_up_on_a_silent_network_after_its_timeout(
    client: httpx.AsyncClient, learner: RealLearner
) -> None:
    learner.gateway.quorum = False
    with pytest.raises(NetworkSilent):
        await send(client, many(10), patience=0.05)


async def test_a_wrong_key_is_reported_at_once(client: httpx.AsyncClient, trouble: Trouble) -> None:
    client.headers["X-API-Key"] = "dtvn_wrong"
    with pytest.raises(Refused, match="API key was refused"):
        await send(client, many(200))
    assert trouble.requests == 1
