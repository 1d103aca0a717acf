"""Gates over the real API: each ticket admitted once, whatever is lost on the way."""

from __future__ import annotations

import httpx
import pytest

from tests.pages.learner import RealLearner
from tests.tools.conftest import Trouble
from tests.tools.test_issuing import many, send
from tickets.importing.until_final import Refused
from tickets.scanning import Outcome, Plan, make_plan, play, prove
from validators.ledger.models import OperationRecord

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.usefixtures("quick"),
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]


def codes(*ids: str) -> dict[str, tuple[str]]:
    """Tickets of an event whose ids are codes."""
    return {name: (name,) for name in ids}


async def planned(client: httpx.AsyncClient, count: int, duplicates: float = 0.4) -> Plan:
    await send(client, many(count))
    ids = [f"T-{number}" for number in range(count)]
    return make_plan(codes(*ids), gates=4, duplicates=duplicates, seed=3, run="suite")


async def run(client: httpx.AsyncClient, plan: Plan, patience: float = 20.0) -> list[Outcome]:
    return await play(client, plan, event="default", patience=patience, told=lambda _: None)


async def test_r13_lost_requests_and_answers_admit_no_ticket_twice(
    client: httpx.AsyncClient, trouble: Trouble
) -> None:
    """An answer that was lost after the admission: the repetition, with its nonce, is told `ok` again."""
    plan = await planned(client, 60)
    trouble.share = 0.15
    record = await run(client, plan)
    assert trouble.lost > 10
    assert sum(outcome.attempts - 1 for outcome in record) >= trouble.lost
    assert prove(plan.scans, record).faults == ()
    admitted = OperationRecord.objects.filter(operation="admit", code="ok").values_list(
        "ticket_id", flat=True
    )
    assert len({ticket async for ticket in admitted}) == 60


async def test_r14_a_silent_network_that_executes_is_never_taken_for_a_refusal(
    client: httpx.AsyncClient, learner: RealLearner
) -> None:
    plan = await planned(client, 4, duplicates=0)
    learner.gateway.mute = True
    record = await run(client, plan, patience=0.02)
    verdict = prove(plan.scans, record)
    assert [outcome.code for outcome in record] == [""] * 4
    assert "never decided (status 504)" in verdict.faults[0]


async def test_an_unknown_code_is_a_fault_not_a_stop(client: httpx.AsyncClient) -> None:
    plan = make_plan(codes("NOBODY-1"), gates=1, duplicates=0, seed=1, run="suite")
    (fault,) = prove(plan.scans, await run(client, plan)).faults
    assert fault == "NOBODY-1: refused with barcode_not_found at gate-1"


async def test_an_unknown_event_stops_the_rehearsal_and_refuses_no_guest(client: httpx.AsyncClient) -> None:
    plan = make_plan(codes("T-0"), gates=1, duplicates=0, seed=1, run="suite")
    with pytest.raises(Refused, match="unknown_event"):
        await play(client, plan, event="fesst", patience=20.0, told=lambda _: None)
