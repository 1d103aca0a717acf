"""Guests who are found at a gate: who may find them, what is offered, and what is then decided."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import OperationalError, connection
from django.test import Client

from tests.pages.learner import RealLearner
from tests.pages.test_event_lists import VIP, save
from tests.pages.test_events_page import EVENTS, FORM, text
from tests.pages.test_steward_links import OTHER, SLUG, make, opened, order
from tickets.models import TicketHolder
from tickets.services import patience
from validators.ledger.models import OperationRecord
from validators.rest import keys
from validators.services import api_keys

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

GUESTS = "/gate/guests"
FAMILY = {
    "F-1": "Ada Lovelace",
    "F-2": "Byron Lovelace",
    "F-3": "Ralph Lovelace",
    "F-4": "Annabella Lovelace",
}
"""Of one order: F-2 has entered, F-3 is blocked, F-4 parks a car."""
ALONE = {"A-1": ("Grace Lovelace", "O-8"), "A-2": ("Emmy Lovelace", "")}


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    keys.forget()


@pytest.fixture
def fest(learner: RealLearner, admin: Client) -> Client:
    """An event with a list besides its main entrance, and another event; a family, and two guests alone."""
    for slug in (SLUG, OTHER):
        assert admin.post(EVENTS, FORM | {"slug": slug}).status_code == 302
    assert save(admin, **VIP).status_code == 302
    guests = {ticket: (name, "O-7") for ticket, name in FAMILY.items()} | ALONE
    for ticket, (name, number) in guests.items():
        product = "Parking" if ticket == "F-4" else "VIP"
        order(admin, "", ticket_id=ticket, product=product, barcodes=[f"code-{ticket}"])
        TicketHolder.objects.create(event=SLUG, ticket=ticket, name=name, order=number, salt=b"s" * 32)
    order(admin, "", ticket_id="X-1", event=OTHER, barcodes=["other"])
    TicketHolder.objects.create(event=OTHER, ticket="X-1", name="Xeno Lovelace", order="O-7", salt=b"s" * 32)
    order(admin, "/admit", barcode="code-F-2", gate="south", device="d")
    order(admin, "/block", ticket_id="F-3", reason="unpaid")
    return admin


def person(*groups: str) -> Client:
    """A person's telephone."""
    user = User.objects.create_user("stella", is_staff=True)
    user.groups.set(Group.objects.get_or_create(name=name)[0] for name in groups)
    client = Client()
    client.force_login(user)
    return client


def asked(client: Client, **fields: str) -> Any:
    token = text(client.get("/gate/")).split('data-csrf="')[-1].split('"')[0]
    return client.post(GUESTS, {"event": SLUG} | fields, headers={"X-CSRFToken": token})


def offered(client: Client, **fields: str) -> dict[str, bool]:
    return {one["id"]: one["admits"] for one in asked(client, **fields).json()["tickets"]}


def admitted(client: Client, ticket: str, headers: Any = None, **fields: Any) -> tuple[int, str]:
    """By name: status and code of the answer."""
    headers = headers or {"X-CSRFToken": text(client.get("/gate/")).split('data-csrf="')[-1].split('"')[0]}
    body = {"ticket_id": ticket, "event": SLUG, "gate": "north", "device": "web-1"} | fields
    answer = client.post("/api/v1/tickets/admit", body, content_type="application/json", headers=headers)
    return answer.status_code, answer.json().get("code", "ok")


def test_a_steward_finds_the_order_of_a_guest_and_admits_it_by_name(fest: Client) -> None:
    steward = person("gate")
    rows = asked(steward, ticket="F-2").json()["tickets"]
    assert [(one["holder"], one["order"], one["meaning"]) for one in rows] == [
        ("Ada Lovelace", "O-7", "not entered yet"),
        ("Byron Lovelace", "O-7", "admitted"),
        ("Ralph Lovelace", "O-7", "blocked: unpaid"),
        ("Annabella Lovelace", "O-7", "its product does not admit"),
    ]
    assert admitted(steward, "F-1") == (200, "ok")
    record = OperationRecord.objects.get(ticket_id="F-1", operation="admit")
    entry = steward.get("/api/v1/tickets/F-1", {"event": SLUG}).json()["data"]["last_entry"]
    assert (record.actor, entry["gate"], entry["device"]) == ("user:stella", "north", "web-1")
    assert admitted(steward, "F-1") == (409, "already_consumed")


def test_orders_of_two_shops_with_one_number_are_two(fest: Client) -> None:
    steward = person("gate")
    TicketHolder.objects.filter(ticket__in=ALONE).update(order="O-7", source="another shop")
    assert offered(steward, ticket="F-1").keys() == FAMILY.keys()
    assert offered(steward, ticket="A-1").keys() == ALONE.keys()


@pytest.mark.parametrize("slug", ["main", "vip"])
@pytest.mark.parametrize(
    "groups", [["gate"], ["organiser"], ["gate", "list:vip"], ["gate", "product:Parking"]], ids=" ".join
)
def test_what_is_offered_is_what_is_admitted(fest: Client, groups: list[str], slug: str) -> None:
    client = person(*groups)
    if "list:vip" in groups and slug == "main":
        assert asked(client, q="lovelace", list=slug).status_code == 403
        assert {admitted(client, ticket)[0] for ticket in (*FAMILY, *ALONE)} == {403}
        return
    found = offered(client, q="lovelace", list=slug)
    assert found.keys() == FAMILY.keys() | ALONE.keys()
    assert {ticket: admitted(client, ticket, list=slug)[0] == 200 for ticket in found} == found
    by_name = groups == ["organiser"]
    assert found["A-2"] is by_name, "what has no order was not found by it"
    assert found["F-1"] is (groups[-1] != "product:Parking")
    assert found["F-2"] is (found["F-1"] and slug == "vip"), "it has entered on main alone"


def test_a_link_finds_guests_of_its_event_and_its_lists_alone(fest: Client) -> None:
    steward = opened(make(fest, **{"for": "some", "list": ["vip"]}))
    assert offered(steward, ticket="F-1", list="vip") == {
        "F-1": True,
        "F-2": True,
        "F-3": False,
        "F-4": False,
    }
    assert asked(steward, ticket="F-1").status_code == 403
    for fields in ({"q": "xeno"}, {"ticket": "X-1"}):
        assert asked(steward, event=OTHER, list="vip", **fields).status_code == 403
    assert offered(steward, q="xeno", list="vip") == {}
    assert admitted(steward, "F-1") == (403, "not_permitted")
    assert admitted(steward, "X-1", event=OTHER) == (403, "not_permitted")
    assert admitted(steward, "F-1", list="vip") == (200, "ok")


def test_only_a_person_at_a_gate_admits_by_name(fest: Client) -> None:
    """What a program sends as an id may be what it scanned; and the log says where somebody came in."""
    api_keys.store_api_key("scanner", label="scanner", scopes=["gate"])
    program = {"X-API-Key": "scanner"}
    steward = person("gate")
    refused = (403, "not_permitted")
    assert admitted(Client(), "F-1", headers=program) == refused
    for nowhere in ("", " "):
        assert admitted(steward, "F-1", gate=nowhere) == refused
        assert admitted(steward, "F-1", device=nowhere) == refused
    assert admitted(steward, "A-2") == refused
    assert admitted(steward, "nobody") == refused
    sent = {"ticket_id": "F-1", "event": SLUG, "gate": "north", "device": "web-1"}
    consumed = steward.post("/api/v1/tickets/consume", sent, content_type="application/json")
    assert consumed.status_code == 403
    assert not OperationRecord.objects.filter(ticket_id="F-1", operation__in=("admit", "consume")).exists()


def test_while_the_table_of_guests_is_away_nobody_is_refused_by_name(
    fest: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page asks again: the guest waits. Scans go on."""

    def away(execute: Any, sql: str, *given: Any) -> Any:
        if "tickets_ticketholder" in sql:
            raise OperationalError("the server closed the connection")
        return execute(sql, *given)

    steward = person("gate")
    monkeypatch.setattr(patience, "platform", patience.Patience())
    with connection.execute_wrapper(away):
        assert admitted(steward, "F-1") == (503, "unavailable")
        scanned = {"barcode": "code-A-1", "event": SLUG, "gate": "north", "device": "web-1"}
        answer = steward.post("/api/v1/tickets/admit", scanned, content_type="application/json")
        assert (answer.status_code, answer.json()["holder"]) == (200, None)
        assert asked(steward, q="ada").status_code == 503
    monkeypatch.setattr(patience, "platform", patience.Patience())
    assert admitted(steward, "F-1") == (200, "ok")


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({}, 400, "q: type a name, an order or a seat."),
        ({"q": "ada", "after": "a b"}, 400, "after must be a ticket id"),
        ({"q": "ada", "list": "pool"}, 400, "list: the event has no list 'pool'."),
        ({"q": "ada", "event": "a b"}, 400, "event must be"),
        ({"ticket": "nobody"}, 200, None),
    ],
)
def test_a_wrong_question_is_named(
    fest: Client, fields: dict[str, str], status: int, said: str | None
) -> None:
    answer = asked(person("gate"), **fields)
    assert answer.status_code == status
    assert answer.json().get("error", "")[: len(said or "")] == (said or "")


def test_who_may_not_scan_finds_nobody(fest: Client) -> None:
    assert Client().post(GUESTS, {"event": SLUG, "q": "ada"}).status_code == 401
    assert person("auditor").post(GUESTS, {"event": SLUG, "q": "ada"}).status_code == 403
