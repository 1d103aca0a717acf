"""The gate's page: who may open it, what it offers, and who lands on it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import OperationalError
from django.test import Client

from dtvn.machine.fields import REASON_LENGTH_MAX
from tests.pages.learner import RealLearner
from tickets.services import patience
from validators.ledger import read
from validators.rest import keys
from validators.services import api_keys

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

PASSWORD = "open sesame"
OVERRULING = ("Let in all the same", "Annul its last entry or exit", "Look up")


def person(*groups: str) -> Client:
    user = User.objects.create_user("person", password=PASSWORD, is_staff=True)
    user.groups.set(Group.objects.get_or_create(name=name)[0] for name in groups)
    client = Client()
    client.force_login(user)
    return client


def events(response: Any) -> list[dict[str, Any]]:
    found = re.search(r'<script id="gate-events"[^>]*>(.*?)</script>', response.content.decode(), re.DOTALL)
    assert found is not None
    told: list[dict[str, Any]] = json.loads(found[1])
    return told


def test_only_those_who_may_scan_open_the_page_and_see_it_in_the_menu(learner: RealLearner) -> None:
    assert Client().get("/gate/").headers["Location"] == "/admin/login/?next=/gate/"
    auditor = person("auditor")
    assert auditor.get("/gate/").status_code == 403
    assert 'href="/gate/"' not in auditor.get("/").content.decode()
    User.objects.all().delete()
    gate = person("gate")
    assert gate.get("/gate/?event=fest&gate=north").status_code == 200
    assert 'href="/gate/"' in gate.get("/").content.decode()
    page = gate.get("/gate/").content.decode()
    assert 'data-actor="user:person"' in page
    assert 'data-admit="/tickets/admit" data-annul="/tickets/annul" data-force=""' in page
    assert f'data-reason-max="{REASON_LENGTH_MAX}"' in page


def test_the_page_offers_the_events_by_name(learner: RealLearner, operate: Any, admin: Client) -> None:
    assert events(admin.get("/gate/")) == []
    operate("issue T-1", event="plain")
    fest = {"name": "Fest 2026", "lists": [{"list": "vip", "name": "VIP"}]}
    sent = admin.put("/api/v1/events/fest", fest, content_type="application/json")
    assert sent.status_code == 200
    assert events(admin.get("/gate/")) == [
        {
            "slug": "fest",
            "name": "Fest 2026",
            "zone": "UTC",
            "main": True,
            "lists": [{"slug": "vip", "name": "VIP"}],
        },
        {"slug": "plain", "name": "plain", "zone": "UTC", "main": True, "lists": []},
    ]


def test_a_gate_for_some_lists_is_offered_no_others(learner: RealLearner, admin: Client) -> None:
    fest = {"lists": [{"list": "vip"}, {"list": "meal"}]}
    assert admin.put("/api/v1/events/fest", fest, content_type="application/json").status_code == 200

    def offered(*groups: str) -> tuple[bool, list[str]]:
        User.objects.filter(username="person").delete()
        (event,) = events(person("gate", *groups).get("/gate/"))
        return event["main"], [each["slug"] for each in event["lists"]]

    assert offered() == (True, ["meal", "vip"])
    assert offered("list:vip") == (False, ["vip"])
    assert offered("list:main") == (True, [])


def test_only_who_may_supervise_is_offered_to_overrule_a_list(learner: RealLearner) -> None:
    page = person("gate").get("/gate/").content.decode()
    for offered in OVERRULING:
        assert offered not in page
    assert 'data-force=""' in page
    assert 'data-annul="/tickets/annul"' in page
    User.objects.all().delete()
    page = person("gate", "supervise").get("/gate/").content.decode()
    for offered in OVERRULING:
        assert offered in page
    assert 'data-force="/tickets/force"' in page


def test_the_page_opens_while_the_copy_of_the_log_is_away(
    learner: RealLearner, operate: Any, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is in its address, and gates go on."""

    def away(using: str) -> list[str]:
        raise OperationalError

    operate("issue T-1")
    monkeypatch.setattr(read, "list_events", away)
    monkeypatch.setattr(patience, "copy", patience.Patience())
    assert events(admin.get("/gate/")) == []


@pytest.mark.parametrize(
    ("groups", "wanted", "lands"),
    [
        (["gate"], "/", "/gate/"),
        (["gate"], "/admin/", "/gate/"),
        (["gate"], "/dashboard/tickets", "/dashboard/tickets"),
        (["gate", "auditor"], "/", "/gate/"),
        (["gate", "supervise"], "/", "/gate/"),
        (["organiser"], "/", "/"),
        (["gate", "organiser"], "/", "/"),
        ([], "/", "/"),
    ],
)
def test_whoever_may_only_scan_lands_at_the_gate(groups: list[str], wanted: str, lands: str) -> None:
    person(*groups)
    sent = {"username": "person", "password": PASSWORD, "next": wanted}
    answer = Client().post(f"/admin/login/?next={wanted}", sent)
    assert (answer.status_code, answer.headers["Location"]) == (302, lands)


@pytest.mark.parametrize(("scopes", "lands"), [(["gate"], "/gate/"), (["gate", "operate"], "/")])
def test_a_key_that_may_only_scan_lands_there_too(scopes: list[str], lands: str) -> None:
    keys.forget()
    api_keys.store_api_key("key-of-a-gate", label="gate", scopes=scopes)
    answer = Client().post("/dashboard/key", {"key": "key-of-a-gate", "next": "/"})
    assert answer.headers["Location"] == lands
