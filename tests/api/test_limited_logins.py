"""Keys and people limited to lists and products: refused with what they are for, never in silence."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.api.conftest import Api, read
from tests.api.test_admission import FIRST, fest
from tests.api.test_lists import VIP, said
from tests.team_keys import join, store_key
from tickets.rest.asking import PlatformAsking

__all__ = ["fest"]
pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def limited(name: str, **limits: list[str]) -> Api:
    store_key(name, label=name, scopes=["gate", "supervise"], **limits)  # type: ignore[arg-type]
    return Api(name)


def ask(api: Api, kind: str = "admit", **fields: Any) -> tuple[int, str, str]:
    body = {"barcode": FIRST, "event": "fest", "gate": "lounge", "device": "l1"} | fields
    response = api.post(f"tickets/{kind}", body)
    answer = read(response)
    return response.status_code, answer["code"], answer.get("error", "")


def test_a_key_for_a_list_scans_for_that_list_alone(fest: Api) -> None:
    said(fest, [VIP, {"list": "meal", "rule": "daily"}])
    lounge = limited("lounge", lists=["vip"])
    assert ask(lounge, list="vip")[:2] == (200, "ok")
    assert ask(lounge, "annul", list="vip")[:2] == (200, "ok")
    refused = "This login scans only for vip, not for the list {!r}."
    assert ask(lounge, list="meal") == (403, "not_permitted", refused.format("meal"))
    assert ask(lounge) == (403, "not_permitted", refused.format("main"))
    assert ask(lounge, "force", reason="lost", list="meal") == (403, "not_permitted", refused.format("meal"))
    named = {"ticket_id": "T-1", "event": "fest"}
    assert read(lounge.post("tickets/consume", named))["error"] == refused.format("main")
    assert ask(fest)[:2] == (200, "ok"), "the ticket has entered nowhere but in the lounge"
    assert ask(lounge, "annul", supervised=True, reason="lost") == (
        403,
        "not_permitted",
        refused.format("main"),
    )
    assert ask(fest, "annul")[:2] == (200, "ok"), "the entry stood"


def test_a_key_for_a_product_takes_tickets_of_that_product_alone(fest: Api) -> None:
    child = {"ticket_id": "C-1", "event": "fest", "product": "Parking", "barcodes": ["a child's code"]}
    assert fest.post("tickets", child).status_code == 200
    key = limited("cars", products=["Parking"])
    sentence = "This login takes only tickets of Parking, not of Adult."
    assert ask(key) == (403, "not_permitted", sentence)
    assert ask(key, "force", reason="lost") == (403, "not_permitted", sentence)
    assert ask(key, "annul") == (403, "not_permitted", sentence)
    assert ask(key, barcode="a child's code")[1] == "wrong_product"
    assert ask(key, barcode="nobody's")[1] == "barcode_not_found"


def test_a_ticket_that_the_copy_learns_of_while_it_is_waited_for_is_of_its_product(
    fest: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {"ticket_id": "L-1", "event": "fest", "product": "Adult", "barcodes": ["late code"]}
    catch_up = PlatformAsking._catch_up

    def waits(asking: PlatformAsking) -> None:
        monkeypatch.setattr(PlatformAsking, "_catch_up", catch_up)
        assert fest.post("tickets", late).status_code == 200
        catch_up(asking)

    monkeypatch.setattr(PlatformAsking, "_catch_up", waits)
    sentence = "This login takes only tickets of Parking, not of Adult."
    key = limited("cars", products=["Parking"])
    assert ask(key, barcode="late code") == (403, "not_permitted", sentence)
    assert ask(fest, barcode="late code")[1] == "ok", "it had not entered"


def test_groups_limit_people_as_fields_limit_keys(fest: Api) -> None:
    said(fest, [VIP])
    user = User.objects.create_user("stella", is_staff=True)
    join(user, *("gate", "list:vip"))
    client = Client()
    client.force_login(user)
    page = client.get("/gate/").content.decode()
    assert '"main": false, "lists": [{"slug": "vip", "name": "VIP zone"}]' in page

    def scan(**fields: Any) -> int:
        body = {"barcode": FIRST, "event": "fest", "gate": "lounge"} | fields
        return client.post("/api/v1/tickets/admit", body, content_type="application/json").status_code

    assert (scan(list="vip"), scan()) == (200, 403)
