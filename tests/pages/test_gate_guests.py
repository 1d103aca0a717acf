"""Guests who are found at a gate: who may find them, what is offered, and what is then decided."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client

from tests.pages.learner import RealLearner
from tests.pages.test_event_lists import VIP, save
from tests.pages.test_events_page import EVENTS, FORM, text
from tests.pages.test_steward_links import OTHER, SLUG, make, opened, order
from tests.team_keys import join, store_key
from tickets.models import TicketHolder
from tickets.services import patience
from validators.ledger.models import OperationRecord
from validators.rest import keys

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
OTHERS: dict[str, dict[str, Any]] = {
    "D-1": {"not_before": 1_924_988_400},
    "D-2": {"not_after": 1_577_833_200},
    "P-1": {"entries": 4},
}
"""Each of an order of its own: for another day, which is to come or over, and for four persons, of whom one
has entered."""
LISTS: dict[str, dict[str, Any]] = {
    "soon": {"opens": "2031-01-01T00:00"},
    "full": {"capacity": "1"},
    "seats": {"exit_first": "on"},
}
"""Free lists for all that admit: A-1 is inside the full one, and the one that is left before it is entered
again."""


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    keys.forget()


@pytest.fixture
def fest(learner: RealLearner, admin: Client) -> Client:
    """An event with a list besides its main entrance, and another event; a family, and two guests alone."""
    for slug in (SLUG, OTHER):
        assert admin.post(EVENTS, FORM | {"slug": slug}).status_code == 302
    assert save(admin, **VIP).status_code == 302
    for slug, rules in LISTS.items():
        given = {"list": slug, "name": slug, "takes": "all", "rule": "free"} | rules
        assert save(admin, **given).status_code == 302
    guests = {ticket: (name, "O-7") for ticket, name in FAMILY.items()} | ALONE
    for ticket, (name, number) in guests.items():
        product = "Parking" if ticket == "F-4" else "VIP"
        order(admin, "", ticket_id=ticket, product=product, barcodes=[f"code-{ticket}"])
        TicketHolder.objects.create(event=SLUG, ticket=ticket, name=name, order=number, salt=b"s" * 32)
    for ticket, terms in OTHERS.items():
        order(admin, "", ticket_id=ticket, product="VIP", barcodes=[f"code-{ticket}"], **terms)
        TicketHolder.objects.create(event=SLUG, ticket=ticket, name="Ockham", order=ticket, salt=b"s" * 32)
    order(admin, "", ticket_id="X-1", event=OTHER, barcodes=["other"])
    TicketHolder.objects.create(event=OTHER, ticket="X-1", name="Xeno Lovelace", order="O-7", salt=b"s" * 32)
    for code, slug in (("F-2", "main"), ("P-1", "main"), ("A-1", "full"), ("A-1", "seats")):
        order(admin, "/admit", barcode=f"code-{code}", list=slug, gate="south", device="d")
    order(admin, "/block", ticket_id="F-3", reason="unpaid")
    return admin


def person(*groups: str) -> Client:
    """A person's telephone."""
    user = User.objects.create_user("stella", is_staff=True)
    join(user, *groups)
    client = Client()
    client.force_login(user)
    return client


def asked(client: Client, **fields: str) -> Any:
    token = text(client.get("/gate/")).split('data-csrf="')[-1].split('"')[0]
    return client.post(GUESTS, {"event": SLUG} | fields, headers={"X-CSRFToken": token})


def offered(client: Client, **fields: str) -> dict[str, bool]:
    return {one["id"]: one["offered"] for one in asked(client, **fields).json()["tickets"]}


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


def test_what_is_offered_is_what_is_decided(fest: Client) -> None:
    steward = person("gate")
    for kind, slug in product(("entry", "exit"), ("main", "vip", *LISTS)):
        found = offered(steward, q="lovelace", list=slug, kind=kind)
        found |= offered(steward, q="ockham", list=slug, kind=kind)
        decided = {one: admitted(steward, one, list=slug, kind=kind)[0] == 200 for one in found}
        assert decided == found, (kind, slug)


def test_of_a_ticket_for_several_so_many_are_offered_as_are_still_to_come_or_leave(fest: Client) -> None:
    steward = person("gate")
    left = {
        kind: [one["persons"] for one in asked(steward, ticket="P-1", kind=kind).json()["tickets"]]
        for kind in ("entry", "exit")
    }
    assert left == {"entry": [3], "exit": [1]}
    for before in (2, 1, 0):
        assert admitted(steward, "P-1")[0] == 200
        assert [one["persons"] for one in asked(steward, ticket="P-1").json()["tickets"]] == [before]


def test_who_is_not_offered_is_told_the_reason(fest: Client) -> None:
    steward = person("gate")
    told = {
        (slug, one["id"]): one["meaning"]
        for slug in ("main", *LISTS)
        for q in ("ockham", "grace")
        for one in asked(steward, q=q, list=slug).json()["tickets"]
    }
    assert told["main", "D-1"] == "not valid yet: from 2031-01-01 00:00:00 Europe/Stockholm"
    assert told["main", "D-2"] == "no longer valid: until 2020-01-01 00:00:00 Europe/Stockholm"
    assert told["main", "P-1"] == "may enter again; for 4 persons, 3 of 4 entries left"
    assert told["soon", "A-1"] == "this entrance is closed at this time"
    assert told["full", "A-1"] == "it is full inside: somebody has to leave first"
    assert told["seats", "A-1"] == "inside: somebody of this ticket has to leave first"
    leaving = asked(steward, q="ockham", kind="exit").json()["tickets"]
    assert [one["meaning"] for one in leaving if one["id"] == "P-1"] == [
        "inside; for 4 persons, 1 of them inside"
    ]


@pytest.mark.parametrize(
    ("groups", "slug", "seen"),
    [
        (["organiser"], "main", FAMILY.keys() | ALONE.keys()),
        (["gate", "product:Parking"], "main", {"F-4"}),
        (["gate", "list:vip"], "vip", (FAMILY.keys() | ALONE.keys()) - {"F-4"}),
        (["gate", "list:vip"], "main", None),
    ],
    ids=["organiser", "product", "list", "other list"],
)
def test_a_login_sees_only_guests_whom_it_may_admit(
    fest: Client, groups: list[str], slug: str, seen: set[str] | None
) -> None:
    client = person(*groups)
    answer = asked(client, q="lovelace", list=slug)
    if seen is None:
        assert (answer.status_code, admitted(client, "F-1", list=slug)[0]) == (403, 403)
        return
    found = offered(client, q="lovelace", list=slug)
    assert found.keys() == seen
    assert offered(client, ticket="F-4", list=slug).keys() == seen & FAMILY.keys()
    assert {one: admitted(client, one, list=slug)[0] == 200 for one in found} == found
    assert found.get("A-2") in ((True,) if groups == ["organiser"] else (False, None)), "it has no order"


def test_a_link_finds_guests_of_its_event_and_its_lists_alone(fest: Client) -> None:
    steward = opened(make(fest, **{"for": "some", "list": ["vip"]}))
    assert offered(steward, ticket="F-1", list="vip") == {
        "F-1": True,
        "F-2": True,
        "F-3": False,
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
    store_key("scanner", label="scanner", scopes=["gate"])
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
        ({"q": "ada", "kind": "annul"}, 400, "kind must be entry or exit."),
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
