"""Answers that can be acted on: a scanned code is admitted or refused, and the answer says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connections

from dtvn.api.errors import Unavailable
from dtvn.api.outcome import Told
from dtvn.protocol.consensus.messages import Operation
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tests.team_keys import store_key
from tickets.models import TicketCode, TicketHolder
from tickets.rest import asking
from tickets.services import codes, patience, reading

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

FIELDS = list(Told.__struct_fields__)
FIRST, SECOND = "sEcret/+1=", "https://shop.example/t?c=9"


def gate_key(name: str, *scopes: str, event: str = "") -> Api:
    store_key(name, label=name, scopes=scopes, event=event)
    return Api(name)


@pytest.fixture
def fest(api: Api) -> Api:
    """An event of its own with two products and one ticket with two codes."""
    event = {
        "name": "Fest 2026",
        "zone": "Europe/Berlin",
        "doors": "2026-07-31T18:00:00+02:00",
        "products": [{"name": "Adult", "admits": True}, {"name": "Parking", "admits": False}],
    }
    assert api.call("PUT", "events/fest", event).status_code == 200
    ticket = {"ticket_id": "T-1", "event": "fest", "product": "Adult", "seat": "A-1"}
    assert api.post("tickets", ticket | {"barcodes": [FIRST, SECOND]}).status_code == 200
    return api


def admit(api: Api, barcode: str, event: str = "fest", **fields: Any) -> tuple[int, dict[str, Any]]:
    response = api.post("tickets/admit", {"barcode": barcode, "event": event} | fields)
    return response.status_code, read(response)


def shown(answer: dict[str, Any], *names: str) -> list[Any]:
    return [answer[name] for name in names]


def test_a_printed_code_opens_once_and_the_answers_say_why(fest: Api) -> None:
    TicketHolder.objects.create(event="fest", ticket="T-1", name="Ada Lovelace", salt=b"s" * 32)
    status, first = admit(fest, f"\ufeff {FIRST}\r\n", gate="north", device="d1")
    assert (status, first["message"]) == (200, "Admitted: Adult, seat A-1")
    assert [name for name in first if name in FIELDS] == FIELDS
    assert shown(first, "outcome", "code", "whose", "ticket_id") == ["admitted", "ok", None, "T-1"]
    assert shown(first, "product", "seat", "holder") == ["Adult", "A-1", "Ada Lovelace"]
    entry = first["last_entry"]
    assert (entry["gate"], entry["device"]) == ("north", "d1")
    assert entry["at"][-6:] in ("+02:00", "+01:00")
    status, second = admit(fest, SECOND, gate="south")
    assert (status, second["last_entry"]) == (409, entry)
    assert shown(second, "outcome", "code", "whose") == ["refused", "already_consumed", "guest"]
    assert second["error"].startswith("The ticket is already consumed: 2")
    assert second["error"].endswith(" Europe/Berlin at gate north, device d1.")


def test_the_gates_own_faults_never_look_like_a_refused_guest(fest: Api) -> None:
    gate = gate_key("gate", "gate")
    wrong: list[tuple[Api, Any, int, str]] = [
        (fest, {"barcode": FIRST, "event": "festt"}, 404, "unknown_event"),
        (fest, {"barcode": FIRST, "event": "fest", "gate": "g" * 65}, 400, "bad_request"),
        (fest, {"barcode": FIRST, "ticket_id": "T-1", "event": "fest"}, 400, "bad_request"),
        (fest, {"event": "fest"}, 400, "ticket_id_required"),
        (fest, b"{", 400, "bad_request"),
        (gate, {"ticket_id": "T-1", "event": "fest"}, 403, "not_permitted"),
        (gate_key("reader"), {"barcode": FIRST, "event": "fest"}, 403, "not_permitted"),
        (gate_key("other", "gate", event="x"), {"barcode": FIRST, "event": "fest"}, 403, "not_permitted"),
    ]
    for api, body, status, code in wrong:
        response = api.post("tickets/admit", body)
        answer = read(response)
        assert (response.status_code, *shown(answer, "outcome", "code", "whose")) == (
            *(status, "error", code, "gate"),
        )
    assert read(fest.get("tickets/T-1?event=fest"))["data"]["last_entry"] is None


@pytest.mark.parametrize(
    ("barcode", "said"),
    [
        ("", "barcode: a code is empty"),
        ("\u200b \x00", "barcode: a code is empty"),
        ("c" * 513, "barcode: a code has 513 bytes; 512 are the most"),
        ("c" * 5_000, "barcode must be the text of a code, 1 to 512 bytes of UTF-8"),
        (7, "barcode must be the text of a code"),
        (["x"], "barcode must be the text of a code"),
    ],
)
def test_what_cannot_be_a_code_is_refused_by_name_and_not_repeated(
    fest: Api, barcode: Any, said: str
) -> None:
    for path in ("tickets/admit", "tickets/find"):
        response = fest.post(path, {"barcode": barcode, "event": "fest"})
        assert response.status_code == 400
        assert read(response)["error"].startswith(said)
    response = fest.post("tickets/admit", b'{"event": "fest", "barcode": "\\ud800"}')
    assert (response.status_code, read(response)["whose"]) == (400, "gate")


def test_a_code_that_is_not_found_helps_without_betraying_another(fest: Api) -> None:
    status, answer = admit(fest, "SECRET/+1=")
    assert (status, *shown(answer, "outcome", "code", "whose")) == (
        *(404, "refused", "barcode_not_found", "guest"),
    )
    assert answer["hint"] == f"It differs only in case from {FIRST!r}, a code of ticket T-1."
    gate = gate_key("gate", "gate")
    assert admit(gate, "SECRET/+1=")[1]["hint"] == "It differs only in case from a code of this event."
    assert admit(gate, "secret-l")[1]["hint"] == "It looks like a code of this event."
    assert "hint" not in admit(gate, "nothing of the kind")[1]
    wrong = {"event": "fest", "barcode": "SECRET/+1="}
    found = gate.post("tickets/find", wrong)
    assert (found.status_code, read(found)["hint"]) == (
        *(404, "It differs only in case from a code of this event."),
    )
    assert "hint" not in read(gate_key("reader").post("tickets/find", wrong)), "it would help to guess"
    found = fest.post("tickets/find", {"event": "fest", "barcode": "SECRET/+1="})
    assert FIRST in read(found)["hint"]


def test_ids_are_codes_only_where_the_event_says_so(fest: Api) -> None:
    assert admit(fest, "T-1")[1]["code"] == "barcode_not_found"
    assert fest.post("tickets", {"ticket_id": "OLD-1", "event": "old"}).status_code == 200
    assert admit(fest, "old-1", event="old")[1]["hint"] == "It differs only in case from ticket OLD-1."
    assert admit(fest, " OLD-1 ", event="old")[1]["ticket_id"] == "OLD-1"
    by_name = fest.post("tickets/admit", {"ticket_id": "T-1", "event": "fest"})
    assert (by_name.status_code, read(by_name)["outcome"]) == (200, "admitted")


def test_a_copy_that_is_behind_takes_no_code_for_an_id(
    api: Api, fake: FakeGateway, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event was created a moment ago: a copy that does not know it catches up, or nothing is sent."""
    tables.lagging = True
    assert api.call("PUT", "events/fest", {"products": []}).status_code == 200
    monkeypatch.setattr(reading, "BARRIER_WAIT", 0.1)
    status, answer = admit(api, "code1")
    assert (status, answer["outcome"], answer["whose"]) == (503, "unknown", "network")
    monkeypatch.setattr(reading.feed, "wait_for", lambda sequence, _wait: tables.catch_up() or sequence)
    sent: list[Operation] = []
    submit = fake.submit
    monkeypatch.setattr(
        fake, "submit", lambda given, **options: (sent.extend(given), submit(given, **options))[1]
    )
    assert admit(api, "code1")[1]["code"] == "barcode_not_found"
    assert [(each.kind, each.ticket) for each in sent] == [("barrier", ""), ("admit", "")]


def test_gates_admit_while_the_databases_are_away(
    fest: Api, tables: Any, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    """Without the copy and the platform's tables an answer tells what the cluster said, and no more."""
    TicketHolder.objects.create(event="fest", ticket="T-1", name="Ada", salt=b"s" * 32)
    assert admit(fest, "SECRET/+1=")[1]["hint"]

    def away(*_given: Any, **_named: Any) -> Any:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(patience, "copy", patience.Patience())
    monkeypatch.setattr(patience, "platform", patience.Patience())
    tables.lagging = True
    with monkeypatch.context() as outage:
        for alias in ("default", "learner"):
            outage.setattr(connections[alias], "cursor", away)
        status, answer = admit(fest, FIRST, gate="north")
        assert (status, *shown(answer, "outcome", "product", "holder")) == (200, "admitted", "Adult", None)
        status, answer = admit(fest, "SECRET/+1=")
        assert (status, answer["code"], "hint" in answer) == (404, "barcode_not_found", False)
    with django_assert_num_queries(0, using="learner"):
        assert admit(fest, SECOND)[1]["code"] == "already_consumed"
    tables.catch_up()
    monkeypatch.setattr(patience, "copy", patience.Patience())
    monkeypatch.setattr(patience, "platform", patience.Patience())
    assert admit(fest, SECOND)[1]["holder"] == "Ada"


@pytest.mark.parametrize("wanted", [{"ticket_id": "T-1"}, {"barcode": FIRST}])
def test_an_event_never_read_is_not_guessed_while_the_copy_is_away(
    fest: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, str]
) -> None:
    """The salt of a continued cluster's codes, and whether a gate may admit by name, stand in the event's
    row."""

    def away(*_given: Any, **_named: Any) -> Any:
        raise OperationalError("the server closed the connection")

    gate = gate_key("gate", "gate")
    asking._last.clear()
    monkeypatch.setattr(patience, "copy", patience.Patience())
    with monkeypatch.context() as outage:
        outage.setattr(connections["learner"], "cursor", away)
        answer = gate.post("tickets/admit", {"event": "fest"} | wanted)
        assert (answer.status_code, *shown(read(answer), "whose", "outcome")) == (503, "network", "unknown")
    found = fake.application.ticket("fest", "T-1")
    assert found is not None
    assert found.state.name == "ISSUED"


def test_a_batch_waits_for_the_copy_once(api: Api, tables: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that names a hundred events which the copy lacks; a wait costs an ordered barrier."""
    waits: list[str] = []

    def behind() -> int:
        waits.append("for the cluster")
        raise Unavailable("behind")

    monkeypatch.setattr(asking, "caught_up", behind)
    items = [{"op": "admit", "event": f"e{n}", "barcode": "x"} for n in range(100)]
    answer = api.post("tickets/batch", {"operations": items})
    assert (answer.status_code, read(answer)["code"], len(waits)) == (503, "unavailable", 1)
    issue = {"op": "issue", "ticket_id": "A-1"}
    answer = api.post("tickets/batch", {"operations": [*items, issue]})
    assert (read(answer)["data"]["counts"], len(waits)) == ({"503": 100, "200": 1}, 2)
    monkeypatch.setattr(asking, "caught_up", lambda: waits.append("in vain"))
    answer = api.post("tickets/batch", {"operations": items})
    assert (read(answer)["data"]["counts"], len(waits)) == ({"404": 100}, 3)


def test_codes_unknown_to_a_key_for_a_product_are_waited_for_once(
    fest: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_key("adults", label="adults", scopes=("gate",), products=("Adult",))
    waits: list[str] = []
    monkeypatch.setattr(asking, "caught_up", lambda: waits.append("for the cluster"))
    items = [{"op": "admit", "event": "fest", "barcode": f"x{n}"} for n in range(100)]
    answer = Api("adults").post("tickets/batch", {"operations": [*items, items[0] | {"barcode": FIRST}]})
    assert (read(answer)["data"]["counts"], len(waits)) == ({"404": 100, "200": 1}, 1)


def test_a_code_without_its_event_is_the_gates_mistake(fest: Api) -> None:
    """Not "nobody knows this code" by the event that is called default; an id has that event for ever."""
    for path, code in (
        ("tickets/admit", {"barcode": FIRST}),
        ("tickets/admit", {"barcode_digest": "0" * 64, "event": None}),
        ("tickets/find", {"barcode": FIRST}),
    ):
        answer = fest.post(path, code)
        told = read(answer)
        assert (answer.status_code, told["code"]) == (400, "bad_request")
        assert told["error"].startswith("event is required")
        assert path != "tickets/admit" or (told["outcome"], told["whose"]) == ("error", "gate")
    operations = [{"op": "admit", "barcode": FIRST}, {"op": "admit", "ticket_id": "T-9"}]
    by_code, by_id = read(fest.post("tickets/batch", {"operations": operations}))["data"]["results"]
    assert (by_code["status"], by_code["code"], by_code["whose"]) == (400, "bad_request", "gate")
    assert by_code["error"] == "event is required with barcode"
    assert (by_id["status"], by_id["code"]) == (404, "ticket_not_found")


def test_block_unblock_replace_change_and_entries_answer_with_what_is_now(fest: Api) -> None:
    def post(verb: str, **fields: Any) -> dict[str, Any]:
        return read(fest.post(f"tickets/{verb}", {"ticket_id": "T-1", "event": "fest"} | fields))

    assert shown(post("block", reason="lost"), "outcome", "blocked", "block_reason") == ["done", True, "lost"]
    assert shown(post("block"), "code", "whose") == ["already_blocked", "gate"]
    assert shown(post("unblock"), "outcome", "blocked", "block_reason") == ["done", False, ""]
    assert post("unblock")["code"] == "not_blocked"
    assert post("replace", barcodes=["new one"])["outcome"] == "done"
    assert shown(post("change", seat="B-2", not_after=4_000_000_000), "seat", "valid_until") == [
        *("B-2", "2096-10-02T09:06:40+02:00"),
    ]
    assert post("change", not_before=4_000_000_001)["code"] == "empty_window"
    ticket = read(fest.get("tickets/T-1?event=fest"))["data"]
    assert shown(ticket, "seat", "codes", "blocked") == ["B-2", {"valid": 1, "revoked": 2}, False]
    assert admit(fest, "new one")[0] == 200
    assert post("change", seat="C")["code"] == "already_consumed"


def test_a_code_of_another_ticket_is_taken_and_not_remembered(fest: Api) -> None:
    second = {"ticket_id": "T-2", "event": "fest", "product": "Child", "barcodes": [FIRST]}
    refused = fest.post("tickets", second)
    assert (refused.status_code, read(refused)["code"]) == (409, "barcode_taken")
    assert set(TicketCode.objects.values_list("ticket", flat=True)) == {"T-1"}
    made = fest.post("tickets", second | {"barcodes": ["other"], "blocked": True, "block_reason": "unpaid"})
    assert read(made)["message"] == "Ticket issued; product added as an entrance"
    assert (read(made)["product_added"], read(made)["data"]["block_reason"]) == (True, "unpaid")
    assert admit(fest, "other")[1]["error"] == "The ticket is blocked: unpaid."
    refused = fest.post("tickets/replace", {"ticket_id": "T-2", "event": "fest", "barcodes": [FIRST]})
    assert read(refused)["code"] == "barcode_taken"
    stored = TicketCode.objects.filter(ticket="T-2")
    assert [(row.code, row.digest) for row in stored] == [("other", codes.digest_of("fest", "other").hex())]


def test_no_code_is_forgotten_before_the_copy_has_the_refusal(
    fest: Api, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy does not show yet which codes the ticket already has, so all of them must stay."""
    wait = codes.OWN_WRITES_WAIT
    monkeypatch.setattr(codes, "OWN_WRITES_WAIT", 0.0)
    tables.lagging = True
    ticket = {"ticket_id": "T-2", "event": "fest"}
    answers = [fest.post("tickets", ticket | {"barcodes": [code]}) for code in ("given", "refused")]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert TicketCode.objects.filter(ticket="T-2", code="given").exists()
    tables.catch_up()
    monkeypatch.setattr(codes, "OWN_WRITES_WAIT", wait)
    tables.lagging = False
    assert fest.post("tickets", ticket | {"barcodes": ["again"]}).status_code == 409
    assert [row.code for row in TicketCode.objects.filter(ticket="T-2")] == ["given"]


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("tickets", {"barcodes": ["c"] * 9}, "barcodes must be a list of at most 8 texts of codes"),
        ("tickets", {"barcodes": "c"}, "barcodes must be a list of at most 8 texts of codes"),
        ("tickets", {"barcodes": ["c", ""]}, "barcodes: a code is empty"),
        ("tickets", {"barcodes": ["c", " c"]}, "codes: one is given twice"),
        ("tickets", {"barcodes": ["c"], "barcode_digests": ["0" * 64]}, "only one of barcodes and barcode_"),
        ("tickets", {"blocked": "yes"}, "blocked must be true or false"),
        ("tickets", {"block_reason": "r"}, "block_reason: of a ticket that is not blocked"),
        ("tickets/replace", {}, "barcodes or barcode_digests is required"),
        ("tickets/replace", {"barcodes": []}, "codes"),
        ("tickets/change", {}, "product, seat, not_before or not_after: one must be given"),
        ("tickets/admit", {"barcode_digest": "0" * 63, "ticket_id": None}, "barcode_digest must be 64 hex"),
        ("tickets/import_entry", {"at": -1}, "at must be a number of Unix seconds"),
    ],
)
def test_bad_input_names_its_field(fest: Api, path: str, fields: dict[str, Any], said: str) -> None:
    response = fest.post(path, {"ticket_id": "T-9", "event": "fest"} | fields)
    assert (response.status_code, read(response)["error"][: len(said)]) == (400, said)


def test_a_batch_tells_the_same(fest: Api) -> None:
    items = [
        {"op": "issue", "ticket_id": "B-1", "barcodes": ["b1"], "product": "Child"},
        {"op": "admit", "barcode": "b1", "gate": "n"},
        {"op": "admit", "barcode": "B1"},
        {"op": "admit"},
        {"op": "block", "ticket_id": "T-1", "reason": "lost"},
        {"op": "unblock", "ticket_id": "T-1"},
        {"op": "replace", "ticket_id": "T-1", "barcodes": ["t1"]},
        {"op": "change", "ticket_id": "T-1", "seat": "Z"},
        {"op": "import_entry", "ticket_id": "T-1", "gate": "west"},
        {"op": "admit", "barcode": "t1"},
    ]
    answer = read(fest.post("tickets/batch", {"operations": [item | {"event": "fest"} for item in items]}))
    results = answer["data"]["results"]
    assert [result["status"] for result in results] == [200, 200, 404, 400, 200, 200, 200, 200, 200, 409]
    assert results[0] == {"ticket_id": "B-1", "status": 200, "product_added": True}
    assert shown(results[1], "ticket_id", "outcome", "product") == ["B-1", "admitted", "Child"]
    assert shown(results[2], "ticket_id", "code", "whose") == ["", "barcode_not_found", "guest"]
    assert results[2]["hint"] == "It differs only in case from 'b1', a code of ticket B-1."
    assert shown(results[3], "ticket_id", "outcome", "whose") == ["", "error", "gate"]
    assert [result["outcome"] for result in results[4:]] == [*["done"] * 5, "refused"]
    assert results[9]["last_entry"] == {"at": None, "gate": "west", "device": ""}
