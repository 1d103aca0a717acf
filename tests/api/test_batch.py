"""POST /tickets/batch: in order, not atomic, each operation with the status of its single call."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from dtvn.api import ordering
from dtvn.gateway import GatewayClosed, OperationTooLarge, Overloaded, Result
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tests.team_keys import store_key
from tickets.models import TicketCode, TicketHolder
from tickets.rest import asking
from tickets.services import codes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def op(kind: str, ticket: str, **fields: Any) -> dict[str, Any]:
    return {"op": kind, "ticket_id": ticket} | fields


def statuses(api: Api, *operations: Any) -> list[int]:
    response = api.post("tickets/batch", {"operations": list(operations)})
    assert response.status_code == 200
    return [result["status"] for result in read(response)["data"]["results"]]


def test_a_malformed_item_gets_400_and_the_rest_is_executed(api: Api) -> None:
    items = [
        op("issue", "A"),
        op("fly", "A"),
        op("validate", ""),
        op("validate", "a b"),
        op("validate", "A", data="%%%"),
        op("validate", "A", nonce="n" * 65),
        op("resolve", "A"),
        "text",
        None,
        {"ticket_id": 5, "op": "validate"},
        op("validate", "A"),
    ]
    assert statuses(api, *items) == [200, 400, 400, 400, 400, 400, 400, 400, 400, 400, 200]


def test_a_batch_may_be_16_mib_and_no_larger(api: Api) -> None:
    padding = b'{"operations":[],"x":"' + b"x" * (16 * 1024 * 1024)
    assert api.post("tickets/batch", padding[: 16 * 1024 * 1024 - 2] + b'"}').status_code == 200
    assert api.post("tickets/batch", padding + b'"}').status_code == 413


@pytest.mark.parametrize("code", ["unavailable", "cluster_contradiction"])
def test_r14_a_batch_of_which_nothing_was_sent_is_503(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Its later pieces are not tried."""
    tried: list[int] = []
    submit = fake.submit
    monkeypatch.setattr(fake, "submit", lambda some, *, wait: tried.append(len(some)) or submit(some))
    fake.quorum, fake.unsent = False, code
    response = api.post("tickets/batch", {"operations": [op("validate", "A")] * 1_001})
    assert (response.status_code, read(response)["code"]) == (503, code)
    assert tried == [1_000]


def test_r14_unknown_outcomes_are_reported_per_operation(api: Api, fake: FakeGateway) -> None:
    fake.mute = True
    response = api.post("tickets/batch", {"operations": [op("issue", "A"), op("fly", "A")]})
    results = read(response)["data"]["results"]
    assert [(result["status"], result["code"]) for result in results] == [
        (504, "outcome_unknown"),
        (400, "bad_request"),
    ]
    assert response.headers["Retry-After"] == "1", "the first may be sent again, under its nonce"


def test_codes_and_names_are_known_however_few_are_looked_up_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(asking, "HOLDERS_AT_ONCE", 2)
    ids = [f"A-{number}" for number in range(5)]
    TicketHolder.objects.bulk_create(
        TicketHolder(event=event, ticket=name, name=f"of {name}{apart}")
        for event, apart in (("default", ""), ("other", ", another event's"))
        for name in ids
    )
    assert statuses(api, *(op("issue", name) for name in ids)) == [200] * 5
    taken = [op("issue", f"B-{name}", barcodes=[name]) for name in ids]
    assert statuses(api, *taken) == [409] * 5, "each code is the id of another ticket"
    admitted = api.post("tickets/batch", {"operations": [op("admit", name) for name in ids]})
    assert [each["holder"] for each in read(admitted)["data"]["results"]] == [f"of {name}" for name in ids]
    assert statuses(api, *(op("replace", name, barcodes=[f"c-{name}"]) for name in ids)) == [200] * 5
    again = [op("issue", f"C-{name}", barcodes=[f"c-{name}"]) for name in ids]
    assert statuses(api, *again) == [409] * 5
    assert set(TicketCode.objects.values_list("ticket", flat=True)) == set(ids), (
        "what was refused is forgotten"
    )


def test_an_idempotency_key_for_a_whole_batch_is_refused(api: Api) -> None:
    body = {"operations": [op("issue", "A")]}
    assert api.post("tickets/batch", body, Idempotency_Key="k").status_code == 400


def test_each_operation_needs_its_own_scope(api: Api) -> None:
    store_key("dtvn_gate_key", label="gate", scopes=["gate"])
    api.post("tickets", {"ticket_id": "A"})
    assert statuses(Api("dtvn_gate_key"), op("validate", "A"), op("admit", "A"), op("issue", "B")) == [
        403,
        200,
        403,
    ]


@pytest.mark.parametrize("ends", [False, True])
def test_r14_nothing_is_sent_after_a_piece_without_an_outcome(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """Otherwise a batch of 10,000 would wait for ten pieces that the cluster does not decide. `ends`: the
    gateway's thread ends meanwhile."""
    sent: list[tuple[int, float]] = []
    submit = fake.submit

    def submit_and_lose_the_second(operations: Any, *, wait: float) -> Any:
        sent.append((len(operations), wait))
        fake.mute = len(sent) == 2
        future = submit(operations, wait=wait)
        if ends and fake.mute:
            future = Future()
            future.set_exception(GatewayClosed("the gateway was closed"))
        return future

    monkeypatch.setattr(fake, "submit", submit_and_lose_the_second)
    response = api.post("tickets/batch", {"operations": [op("issue", f"T-{i}") for i in range(4_500)]})
    assert [size for size, _ in sent] == [1_000, 1_000], "in pieces, one after the other"
    assert all(wait < 10 for _, wait in sent), "an answer is out within ten seconds of the last outcome"
    results = read(response)["data"]["results"]
    assert [result["status"] for result in results] == [200] * 1_000 + [504] * 1_000 + [503] * 2_500
    assert {result["code"] for result in results[2_000:]} == {"unavailable"}, "these may be sent as they are"
    assert response.headers["Retry-After"] == "1"


def test_a_batch_that_takes_too_long_is_cut_between_two_pieces(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(ordering, "PIECE", 2)
    submit = fake.submit

    def submit_for_long(operations: Any, *, wait: float) -> Any:
        monkeypatch.setattr(ordering, "BATCH_SECONDS", -1.0)
        return submit(operations, wait=wait)

    monkeypatch.setattr(fake, "submit", submit_for_long)
    assert statuses(api, *[op("issue", "A")] * 3) == [200, 409, 503]


def failing(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, *calls: Exception | None) -> None:
    """The gateway answers its calls so, one after the other; None: as it is."""
    honest, left = fake.submit, list(calls)

    def submit(*arguments: Any, **options: Any) -> Future[tuple[Result, ...]]:
        error = left.pop(0) if left else None
        if error is None:
            return honest(*arguments, **options)
        future: Future[tuple[Result, ...]] = Future()
        future.set_exception(error)
        return future

    monkeypatch.setattr(fake, "submit", submit)


def test_r14_one_operation_without_an_outcome_ends_a_batch_after_its_piece(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "PIECE", 2)
    honest = fake.submit

    def submit_and_lose_the_second(*arguments: Any, **options: Any) -> Future[tuple[Result, ...]]:
        first, *_ = honest(*arguments, **options).result()
        future: Future[tuple[Result, ...]] = Future()
        future.set_result((first, Result("outcome_unknown")))
        return future

    monkeypatch.setattr(fake, "submit", submit_and_lose_the_second)
    assert statuses(api, *(op("issue", name) for name in "ABCD")) == [200, 504, 503, 503]
    assert [name for name in "ABCD" if fake.application.ticket("default", name)] == ["A", "B"]


@pytest.mark.parametrize("error", [Overloaded("full"), OperationTooLarge("it has 9 bytes")])
def test_a_piece_that_the_gateway_refuses_takes_nothing_back(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What was decided before it stands, and what comes after it was not sent."""
    monkeypatch.setattr(ordering, "PIECE", 2)
    failing(fake, monkeypatch, None, error)
    assert statuses(api, *(op("issue", name) for name in "ABCDE")) == [200, 200, 503, 503, 503]
    assert [name for name in "ABCDE" if fake.application.ticket("default", name)] == ["A", "B"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Overloaded("full"), 503, "busy"),
        (OperationTooLarge("it has 9 bytes"), 413, "too_large"),
        (GatewayClosed("closed"), 504, "outcome_unknown"),
        (TimeoutError(), 504, "outcome_unknown"),
    ],
)
def test_what_the_gateway_says_late_is_the_answer(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    failing(fake, monkeypatch, error)
    answer = api.post("tickets", {"ticket_id": "A"})
    assert (answer.status_code, read(answer)["code"]) == (status, code)
    assert fake.application.ticket("default", "A") is None
