"""Codes, blocks and products on the tickets page: found, shown, and who may act."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.pages.learner import RealLearner
from tests.team_keys import join
from tickets.models import TicketHolder

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

FOUND = "/dashboard/tickets/found"
ONE = "/dashboard/tickets/one"
EVENT = "fest"
NINE_IN_STOCKHOLM = 1_785_481_200
PRINTED = "aB7/+kQ=x"


def person(group: str) -> Client:
    user = User.objects.create_user(f"person-{group}", is_staff=True)
    join(user, group)
    client = Client()
    client.force_login(user)
    return client


def sent(client: Client, path: str, method: str = "post", **body: Any) -> Any:
    response = getattr(client, method)(f"/api/v1{path}", body, content_type="application/json")
    assert response.status_code == 200, response.content
    return response.json()


@pytest.fixture
def fest(learner: RealLearner, admin: Client) -> None:
    """An event whose ids are no codes, with a parking ticket and one for a guest who was refunded."""
    products = [{"name": "Adult", "admits": True}, {"name": "Parking", "admits": False}]
    sent(admin, f"/events/{EVENT}", "put", zone="Europe/Stockholm", products=products)
    for ticket, more in {
        "T-1": {"product": "Adult", "seat": "A-1", "barcodes": [PRINTED], "not_before": NINE_IN_STOCKHOLM},
        "T-2": {"product": "Parking", "barcodes": ["park-2"]},
        "T-3": {"barcodes": ["refund-3"], "blocked": True, "block_reason": "refunded"},
    }.items():
        sent(admin, "/tickets", ticket_id=ticket, event=EVENT, **more)


def found(client: Client, **query: str) -> dict[str, Any]:
    response = client.post(FOUND, query)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def listed(client: Client) -> dict[str, dict[str, Any]]:
    return {ticket["id"]: ticket for ticket in found(client)["tickets"]}


def facts(client: Client, ticket: str) -> dict[str, str]:
    return dict(client.get(ONE, {"event": EVENT, "ticket": ticket}).json()["facts"])


@pytest.mark.usefixtures("fest")
def test_a_replaced_code_still_finds_its_ticket_and_says_so(admin: Client) -> None:
    long = '{"t": "T-1", "e": "fest", "of": "one two three four five six", "k": "' + "x" * 300 + '"}'
    sent(admin, "/tickets/replace", ticket_id="T-1", event=EVENT, barcodes=[long])
    (old,) = found(admin, q=PRINTED)["by_code"]
    assert old["code_replaced"] is True
    (new,) = found(admin, q=long)["by_code"]
    assert new["code_replaced"] is False
    assert facts(admin, "T-1")["Codes"] == "1 valid, 1 revoked"


@pytest.mark.usefixtures("fest")
def test_who_may_not_see_names_sees_none_however_the_ticket_is_found(admin: Client) -> None:
    TicketHolder.objects.create(
        event=EVENT, ticket="T-1", name="Ada Byron", order="O-7", email="ada@x.example"
    )
    ways = [{"q": PRINTED}, {"q": "T-1"}, {"event": EVENT}, {"ticket": f"{EVENT}/T-1", "q": "none"}]
    auditor = person("auditor")
    for sees, client in ((True, admin), (True, person("gate")), (False, auditor)):
        told = [json.dumps(found(client, **way)) for way in ways]
        told.append(client.get(ONE, {"event": EVENT, "ticket": "T-1"}).content.decode())
        assert ["A-1" in each for each in told] == [True] * 5
        assert [("Ada Byron" in each, "O-7" in each) for each in told] == [(sees, sees)] * 5
    for word in ("byron", "O-7", "a@x.org"):
        assert found(auditor, q=word)["tickets"] == []
    assert found(person("organiser"), q="byron")["tickets"]


@pytest.mark.usefixtures("fest")
def test_a_gate_that_asks_for_more_than_its_scope_is_refused(admin: Client) -> None:
    gate = person("gate")
    bodies: dict[str, dict[str, Any]] = {
        "admit": {},
        "block": {"reason": "no"},
        "unblock": {},
        "replace": {"barcodes": ["mine"]},
        "change": {"seat": "A-2"},
    }
    for verb, body in bodies.items():
        told = gate.post(
            f"/api/v1/tickets/{verb}",
            {"ticket_id": "T-1", "event": EVENT} | body,
            content_type="application/json",
        )
        assert told.status_code == 403, verb
    many = {"operations": [{"op": "admit", "ticket_id": "T-1", "event": EVENT}]}
    told = gate.post("/api/v1/tickets/batch", many, content_type="application/json")
    (result,) = told.json()["data"]["results"]
    assert (result["status"], "only codes admit" in result["error"]) == (403, True)
    assert gate.post("/dashboard/tickets/events", {"slug": "mine"}).status_code == 403
    assert listed(admin)["T-1"]["state"] == "issued"


@pytest.mark.usefixtures("fest")
def test_what_opens_nothing_is_shown_and_not_offered_to_be_admitted(admin: Client) -> None:
    rows = listed(admin)
    assert (rows["T-3"]["blocked"], rows["T-3"]["block_reason"]) == (True, "refunded")
    assert rows["T-3"]["acts"] == ["unblock", "replace", "change"]
    assert rows["T-2"]["meaning"] == "its product does not admit"
    assert "admit" not in rows["T-2"]["acts"]
    blocked = found(admin, state="blocked")
    assert ([ticket["id"] for ticket in blocked["tickets"]], blocked["total"]) == (["T-3"], 1)
    sent(admin, "/tickets/unblock", ticket_id="T-3", event=EVENT)
    assert found(admin, state="blocked")["tickets"] == []
    sent(admin, "/tickets/block", ticket_id="T-1", event=EVENT, reason="stolen")
    assert [ticket["id"] for ticket in found(admin, state="blocked")["tickets"]] == ["T-1"]
    assert facts(admin, "T-1")["Blocked"] == "stolen"
    assert facts(admin, "T-2")["Product"] == "Parking (does not admit)"
