"""Ticket routes over the real machine: contract cases C1 to C18 and X1 to X12 that one node decides."""

from __future__ import annotations

import base64
import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.api.errors import Unavailable
from dtvn.api.ordering import Request
from dtvn.gateway import Result
from dtvn.machine import Validate
from tests.api.conftest import Api, read
from tests.api.learner import TableWriter
from tests.fake_gateway import FakeGateway
from tests.team_keys import store_key
from tests.waiting import PATIENCE
from tickets.rest import objects
from validators.rest.http import OWN_WRITES_WAIT
from validators.services.decide import decide_one

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

TICKET_KEYS = ["ID", "State", "Data", "ValidatorID", "Timestamp", "VectorClock", "Metadata"]
SHOWN_KEYS = [
    *("product", "seat", "valid_from", "valid_until", "blocked", "block_reason", "codes", "last_entry"),
    *("entries", "lists", "movements"),
]
"""What one ticket shows besides the contract."""


@pytest.fixture
def seeded(api: Api) -> Api:
    assert api.post("tickets/seed").status_code == 200
    return api


def state(api: Api, ticket: str) -> str:
    return str(read(api.get(f"tickets/{ticket}"))["data"]["State"])


def test_c2_a_fresh_network_has_no_tickets(api: Api) -> None:
    response = api.get("tickets")
    assert (response.status_code, read(response)) == (200, {"success": True, "data": []})
    assert response.headers["X-Total-Count"] == "0"


def test_c3_seeding_creates_500_once(api: Api) -> None:
    first, second = read(api.post("tickets/seed")), read(api.post("tickets/seed"))
    assert (first["success"], first["data"]["seeded"], first["data"]["unique"]) == (True, 500, 500)
    assert first["data"]["total_seeded"] == 2_000
    assert first["data"]["nodes"] == [{"node_id": f"r{i}", "seeded": 500} for i in range(4)]
    assert (second["data"]["seeded"], second["data"]["total_seeded"]) == (0, 0)


@pytest.mark.parametrize("body", [b"", b"seed=1&now", b"{", b"[]", b'{"nonce": "n"}'])
def test_c3_the_body_of_a_seed_is_ignored(api: Api, body: bytes) -> None:
    """A form, as curl sends it, or anything else."""
    told = api.call("POST", "tickets/seed", body)
    assert (told.status_code, read(told)["data"]["seeded"]) == (200, 500)


def test_c4_the_list_shows_all_tickets_in_order_with_the_exact_names(seeded: Api) -> None:
    listed = read(seeded.get("tickets"))["data"]
    assert [ticket["ID"] for ticket in listed] == [f"TICKET-{i:03d}" for i in range(1, 501)]
    assert all(list(ticket) == TICKET_KEYS for ticket in listed)
    assert {ticket["State"] for ticket in listed} == {"ISSUED"}
    assert {ticket["Metadata"]["source"] for ticket in listed} == {"seed"}
    assert all(abs(ticket["Timestamp"] - time.time()) < 60 for ticket in listed)


def test_c5_the_data_is_that_of_the_contract(seeded: Api) -> None:
    ticket = read(seeded.get("tickets/TICKET-001"))["data"]
    assert base64.b64decode(ticket["Data"]) == (
        b'{"event":"Summer Music Festival 2026","venue":"Grand Arena","section":"VIP","seat":"A1",'
        b'"price":"150.00","buyer":"buyer_001@email.com"}'
    )


def test_c6_an_unknown_ticket_is_404(api: Api) -> None:
    response = api.get("tickets/NOPE")
    assert response.status_code == 404
    assert read(response)["success"] is False
    assert read(response)["code"] == "ticket_not_found"


def test_c7_validate_answers_without_data_and_names_its_validator(seeded: Api) -> None:
    response = seeded.post("tickets/validate", {"ticket_id": "TICKET-001", "data": None})
    assert response.status_code == 200
    assert read(response)["success"] is True
    assert "data" not in read(response)
    ticket = read(seeded.get("tickets/TICKET-001"))["data"]
    assert ticket["State"] == "VALIDATED"
    assert ticket["ValidatorID"] in {"r0", "r1", "r2", "r3"}
    assert ticket["VectorClock"][ticket["ValidatorID"]] >= 1, "X15"


def test_c8_shown_data_never_overwrites_the_issued_data(seeded: Api) -> None:
    before = read(seeded.get("tickets/TICKET-001"))["data"]["Data"]
    shown = base64.b64encode(b"something else").decode()
    body = {"ticket_id": "TICKET-001", "data": shown}
    assert seeded.post("tickets/validate", body).status_code == 200
    assert read(seeded.get("tickets/TICKET-001"))["data"]["Data"] == before
    response = seeded.post("tickets/validate", {"ticket_id": "TICKET-002", "data": "%%%"})
    assert response.status_code == 400
    assert "data" in read(response)["error"]


def test_c9_a_second_validation_is_refused_with_the_agreed_text(seeded: Api) -> None:
    body = {"ticket_id": "TICKET-001"}
    assert seeded.codes("tickets/validate", body, body) == [200, 409]
    refusal = read(seeded.post("tickets/validate", body))
    assert "already validated" in refusal["error"]
    assert (refusal["success"], refusal["code"]) == (False, "already_validated")


def test_c10_consume_needs_a_validated_ticket(seeded: Api) -> None:
    assert seeded.codes("tickets/consume", {"ticket_id": "TICKET-002"}) == [409]
    assert state(seeded, "TICKET-002") == "ISSUED"
    body = {"ticket_id": "TICKET-001", "gate": "north", "device": "scanner-7"}
    seeded.post("tickets/validate", body)
    assert seeded.codes("tickets/consume", body, body) == [200, 409]
    assert state(seeded, "TICKET-001") == "CONSUMED"


def test_c11_dispute_and_resolve(seeded: Api) -> None:
    body = {"ticket_id": "TICKET-003", "reason": "shown twice"}
    assert seeded.codes("tickets/dispute", body) == [409], "X11: ISSUED"
    seeded.post("tickets/validate", body)
    assert seeded.codes("tickets/dispute", body, body) == [200, 409]
    assert state(seeded, "TICKET-003") == "DISPUTED"
    assert seeded.codes("tickets/resolve", body | {"verdict": "clear"}) == [200]
    assert state(seeded, "TICKET-003") == "VALIDATED"
    assert seeded.codes("tickets/resolve", body | {"verdict": "perhaps"}, body) == [400, 400]


@pytest.mark.parametrize("verb", ["validate", "consume", "admit", "dispute"])
@pytest.mark.parametrize("body", [b"{}", b'{"ticket_id":""}', b"null", b'{"ticket_id":null}'])
def test_c12_a_missing_ticket_id_is_refused_with_the_agreed_text(api: Api, verb: str, body: bytes) -> None:
    response = api.post(f"tickets/{verb}", body)
    assert response.status_code == 400
    assert "ticket_id is required" in read(response)["error"]


BAD_BODIES = [
    b"",
    b"[]",
    b"{",
    b'{"ticket_id":5}',
    b'{"ticket_id":"T"} junk',
    b"\xff\xfe",
    b'"text"',
    b"[" * 100_000,
    b'{"ticket_id":"a b"}',
    b'{"ticket_id":"<script>"}',
    b'{"ticket_id":"../x"}',
    b'{"ticket_id":"' + b"x" * 10_000 + b'"}',
    b'{"ticket_id":"\\u0000"}',
    b'{"ticket_id":"\\ud800"}',
    b'{"ticket_id":"T","event":"no event"}',
    b'{"ticket_id":"T","event":7}',
    b'{"ticket_id":"T","nonce":""}',
    b'{"ticket_id":"T","nonce":7}',
    b'{"ticket_id":"T","nonce":"' + b"n" * 65 + b'"}',
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_x12_a_malformed_request_is_400_and_reaches_no_member(
    api: Api, fake: FakeGateway, body: bytes
) -> None:
    before = fake.acknowledged
    response = api.post("tickets/validate", body)
    assert response.status_code == 400
    assert read(response)["success"] is False
    assert fake.acknowledged == before


def test_x12_bodies_over_a_mebibyte_are_413(api: Api) -> None:
    big = b'{"ticket_id":"T","x":"' + b"x" * 1_100_000 + b'"}'
    response = api.post("tickets/validate", big)
    assert response.status_code == 413
    assert read(response)["code"] == "too_large"


def test_x3_x4_refusals_are_ordered_outcomes(seeded: Api, fake: FakeGateway) -> None:
    before = fake.acknowledged
    for verb in ("validate", "consume", "dispute"):
        response = seeded.post(f"tickets/{verb}", {"ticket_id": "NOPE"})
        assert (response.status_code, read(response)["code"]) == (404, "ticket_not_found")
        assert int(response.headers["X-DTVN-Sequence"]) > before
    seeded.post("tickets/admit", {"ticket_id": "TICKET-001"})
    assert seeded.codes("tickets/validate", {"ticket_id": "TICKET-001"}) == [409]


def test_r13_a_nonce_gives_the_first_outcome_again(seeded: Api) -> None:
    body = {"ticket_id": "TICKET-001", "nonce": "scan-1"}
    assert seeded.codes("tickets/admit", body, body, {"ticket_id": "TICKET-001"}) == [200, 200, 409]
    response = seeded.post("tickets/admit", {"ticket_id": "TICKET-002", "nonce": "scan-1"})
    assert (response.status_code, read(response)["code"]) == (422, "nonce_reused")


def test_r13_the_header_is_a_nonce_too_and_may_not_contradict_the_body(seeded: Api) -> None:
    body = {"ticket_id": "TICKET-001"}
    assert seeded.post("tickets/admit", body, Idempotency_Key="k").status_code == 200
    assert seeded.post("tickets/admit", body, Idempotency_Key="k").status_code == 200
    assert seeded.post("tickets/admit", body | {"nonce": "k"}).status_code == 200
    assert seeded.post("tickets/admit", body | {"nonce": "j"}, Idempotency_Key="k").status_code == 400
    assert seeded.post("tickets/admit", body, Idempotency_Key="k" * 65).status_code == 400


def test_r13_nonces_of_two_callers_are_independent(seeded: Api) -> None:

    store_key("dtvn_another_key", label="another")
    body = {"ticket_id": "TICKET-001", "nonce": "same"}
    assert seeded.post("tickets/admit", body).status_code == 200
    assert Api("dtvn_another_key").post("tickets/admit", body).status_code == 409


@pytest.mark.parametrize("code", ["unavailable", "cluster_contradiction"])
def test_r14_an_unsent_operation_is_503_and_not_executed(seeded: Api, fake: FakeGateway, code: str) -> None:
    fake.quorum, fake.unsent = False, code
    response = seeded.post("tickets/validate", {"ticket_id": "TICKET-001"})
    assert (response.status_code, read(response)["code"]) == (503, code)
    with pytest.raises(Unavailable):  # not Refused, which a change of membership takes for its end
        decide_one(Request(Validate(), "TICKET-001"), actor="suite")
    assert int(response.headers["Retry-After"]) >= 1
    fake.quorum = True
    assert state(seeded, "TICKET-001") == "ISSUED"


def test_r14_an_unknown_outcome_is_504_and_found_by_its_nonce(seeded: Api, fake: FakeGateway) -> None:
    body = {"ticket_id": "TICKET-001", "nonce": "scan-1"}
    fake.mute = True
    response = seeded.post("tickets/admit", body)
    assert (response.status_code, read(response)["code"]) == (504, "outcome_unknown")
    assert int(response.headers["Retry-After"]) >= 1
    fake.mute = False
    assert seeded.post("tickets/admit", body).status_code == 200


def test_too_many_operations_under_way_are_503_at_once(seeded: Api, fake: FakeGateway) -> None:
    fake.full = True
    response = seeded.post("tickets/validate", {"ticket_id": "TICKET-001"})
    assert (response.status_code, read(response)["code"]) == (503, "busy")
    assert "Retry-After" in response.headers


def test_r17_a_read_sees_what_this_platform_acknowledged(
    seeded: Api, fake: FakeGateway, tables: TableWriter
) -> None:
    response = seeded.post("tickets/validate", {"ticket_id": "TICKET-001"})
    written = int(response.headers["X-DTVN-Sequence"])
    assert written == fake.acknowledged
    response = seeded.get("tickets/TICKET-001")
    assert read(response)["data"]["State"] == "VALIDATED"
    assert int(response.headers["X-DTVN-Sequence"]) >= written


def test_r17_a_read_waits_at_most_a_second_and_names_its_sequence(
    seeded: Api, fake: FakeGateway, tables: TableWriter
) -> None:
    before = fake.acknowledged
    tables.lagging = True
    seeded.post("tickets/validate", {"ticket_id": "TICKET-001"})
    started = time.monotonic()
    response = seeded.get("tickets/TICKET-001")
    assert 0.9 < time.monotonic() - started < OWN_WRITES_WAIT + PATIENCE
    assert read(response)["data"]["State"] == "ISSUED"
    assert int(response.headers["X-DTVN-Sequence"]) == before
    tables.catch_up()
    assert state(seeded, "TICKET-001") == "VALIDATED"


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 40, "²"])
def test_r17_a_bad_min_sequence_is_400(api: Api, value: str) -> None:
    assert api.get("tickets", X_DTVN_Min_Sequence=value).status_code == 400


def test_paging_walks_the_whole_list(seeded: Api) -> None:
    seen: list[str] = []
    path = "/api/v1/tickets?limit=120&state=ISSUED"
    while path:
        response = seeded.get(path)
        assert response.headers["X-Total-Count"] == "500"
        seen += [ticket["ID"] for ticket in read(response)["data"]]
        link = response.headers.get("Link", "")
        path = link.partition("<")[2].partition(">")[0]
        assert not path or link.endswith('; rel="next"')
    assert seen == [f"TICKET-{i:03d}" for i in range(1, 501)]


def forget_states(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, answers carry the code only."""
    submit = fake.submit

    def forgetful(*arguments: Any, **options: Any) -> Future[tuple[Result, ...]]:
        future: Future[tuple[Result, ...]] = Future()
        results = submit(*arguments, **options).result()
        future.set_result(tuple(msgspec.structs.replace(r, state=b"", timestamp=0) for r in results))
        return future

    monkeypatch.setattr(fake, "submit", forgetful)


def test_an_outcome_given_by_code_alone_is_looked_up(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeats carry the code only (R16): the issued ticket and the seeded count are then read."""
    forget_states(fake, monkeypatch)
    assert read(api.post("tickets/seed"))["data"]["seeded"] == 500
    issued = read(api.post("tickets", {"ticket_id": "A-1", "product": "Day pass"}))["data"]
    assert (list(issued), issued["State"]) == ([*TICKET_KEYS, *SHOWN_KEYS], "ISSUED")


def test_a_clock_names_members_that_came_after_the_founding(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the platform's copy knows them."""
    first, *others = (member.id for member in fake.genesis.members)
    founded = SimpleNamespace(genesis=SimpleNamespace(members=fake.genesis.members[:1]))
    monkeypatch.setattr(objects, "gateway", lambda: founded)
    monkeypatch.setattr(objects.read, "member_names", lambda _alias, names: [*names, *others])
    issued = [read(api.post("tickets", {"ticket_id": f"T-{number}"}))["data"] for number in range(12)]
    named = {name for each in issued for name, count in each["VectorClock"].items() if count}
    assert named == {first, *others}
