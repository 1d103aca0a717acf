"""Tickets of a rehearsal: every one is issued once despite losses in the network, or a message why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from channels.db import database_sync_to_async

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine.reasons import REASONS
from tests.pages.learner import RealLearner
from tests.tools.conftest import Trouble
from tests.tools.test_holders import ticket
from tickets.importing import Holder, ImportedTicket
from tickets.importing.until_final import NetworkSilent, Refused
from tickets.rest.asking import PlatformAsking
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


async def test_what_is_undecided_of_a_batch_is_sent_again_and_nothing_else(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, sent = PlatformAsking.order, list[list[str]]()

    def slow(asking: PlatformAsking, requests: list[Request]) -> list[Decision]:
        sent.append([request.ticket for request in requests])
        late = "T-1" if len(sent) == 1 else ""
        taken = {one.request: one for one in honest(asking, [r for r in requests if r.ticket != late])}
        return [taken.get(one) or Decision(one, Result("unavailable")) for one in requests]

    monkeypatch.setattr(PlatformAsking, "order", slow)
    await send(client, many(3))
    assert sent == [["T-0", "T-1", "T-2"], ["T-1"]]
    assert await rows(Ticket.objects.count) == 3


async def test_a_ticket_that_is_refused_ends_the_issue_and_is_named(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(_: PlatformAsking, requests: list[Request]) -> list[Decision]:
        return [Decision(one, Result("not_permitted" if one.ticket == "T-1" else "ok")) for one in requests]

    monkeypatch.setattr(PlatformAsking, "order", strict)
    with pytest.raises(Refused) as refused:
        await send(client, many(3))
    assert str(refused.value) == f"T-1 was refused: {REASONS['not_permitted'].sentence}"


async def test_a_batch_that_is_refused_as_a_whole_says_what_the_platform_answered(
    client: httpx.AsyncClient,
) -> None:
    with pytest.raises(Refused, match=r"the platform answered 4\d\d: \w+"):
        await send(client, [ticket(0, Holder())] * 10_001, batch_size=10_001)
