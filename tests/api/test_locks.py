"""Locks by REST: acquired, renewed, released, waited for; owners apart; pages; errors name fields."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.api.conftest import Api, read
from tests.team_keys import store_key

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

OTHER = "dtvn_another_key_that_may_lock"
GATE = "dtvn_a_key_that_may_operate_only"


@pytest.fixture
def other(api: Api) -> Api:
    store_key(OTHER, label="other", scopes=["lock"])
    return Api(OTHER)


def acquire(api: Api, name: str = "leader", *, status: int = 200, **more: Any) -> dict[str, Any]:
    told = api.post("locks/acquire", {"name": name, "holder": "w", "lease": 60, **more})
    assert told.status_code == status, told.content
    return dict(read(told))


def test_a_lock_is_acquired_renewed_and_released(api: Api) -> None:
    first = acquire(api)["data"]
    assert set(first) == {"event", "name", "principal", "holder", "token", "expires_at"}
    again = acquire(api)["data"]
    assert (again["token"], again["expires_at"] > first["expires_at"]) == (first["token"], True)
    own = {"name": "leader", "holder": "w", "token": first["token"]}
    renewed = read(api.post("locks/renew", {**own, "lease": 0.5}))["data"]
    assert renewed["expires_at"] < again["expires_at"]
    assert api.post("locks/release", {**own, "token": 1}).status_code == 409
    assert api.post("locks/release", own).status_code == 200
    assert api.post("locks/release", own).status_code == 200
    told = api.post("locks/renew", {**own, "lease": 1})
    assert (told.status_code, read(told)["code"]) == (409, "stale_lock_token")


def test_the_same_holder_name_from_two_keys_is_two_holders(api: Api, other: Api) -> None:
    first = acquire(api)["data"]
    told = acquire(other, status=409)
    assert told["code"] == "lock_held"
    assert "until" in told["error"]
    own = {"name": "leader", "holder": "w", "token": first["token"]}
    assert read(other.post("locks/release", own))["code"] == "lock_held"
    assert read(other.post("locks/renew", {**own, "lease": 1}))["code"] == "stale_lock_token"
    assert api.post("locks/release", own).status_code == 200
    assert acquire(other)["data"]["token"] > first["token"]


def test_a_waiter_that_repeats_its_request_hears_that_the_lock_is_its_own(api: Api, other: Api) -> None:
    first = acquire(api)["data"]
    waiting = acquire(other, status=202, wait=30, nonce="k")
    assert waiting["data"]["token"] == first["token"]
    assert acquire(other, status=202, wait=30, nonce="k")["data"]["token"] == first["token"]
    api.post("locks/release", {"name": "leader", "holder": "w", "token": first["token"]})
    assert acquire(other, wait=30, nonce="k")["data"]["token"] > first["token"]


def test_a_waiter_gets_the_lock_next_unless_it_cancels(api: Api, other: Api) -> None:
    first = acquire(api)["data"]
    waiting = acquire(other, status=202, wait=30)
    assert (waiting["code"], waiting["data"]["token"]) == ("lock_waiting", first["token"])
    assert read(api.get("locks"))["data"][0]["waiters"] == 1
    own = {"name": "leader", "holder": "w"}
    api.post("locks/release", {**own, "token": first["token"]})
    assert acquire(other)["data"]["token"] > first["token"]
    assert acquire(api, status=202, wait=30)["code"] == "lock_waiting"
    assert api.post("locks/cancel", own).status_code == 200
    assert other.post("locks/cancel", own).status_code == 200
    assert read(api.get("locks"))["data"] == []


def test_a_repeated_request_shows_its_lease_and_extends_nothing(api: Api) -> None:
    first = acquire(api, nonce="n")["data"]
    assert acquire(api, nonce="n")["data"] == first
    api.post("locks/cancel", {"name": "leader", "holder": "w"})
    assert acquire(api, nonce="n", status=409)["code"] == "stale_lock_token"


def test_locks_are_listed_by_event_in_pages(api: Api) -> None:
    names = sorted(f"lock-{number}" for number in range(5))
    for name in names:
        acquire(api, name)
    acquire(api, "elsewhere", event="summer")
    page = api.get("locks?limit=2")
    assert page.headers["X-Total-Count"] == "5"
    found = [each["name"] for each in read(page)["data"]]
    while (link := page.headers.get("Link")) is not None:
        page = api.get(link[1 : link.index(">")])
        assert page.headers["X-Total-Count"] == "5", "of all pages"
        found += [each["name"] for each in read(page)["data"]]
    assert found == names
    (only,) = read(api.get("locks?name=lock-3"))["data"]
    assert (only["name"], only["principal"], only["waiters"]) == ("lock-3", "gateway", 0)
    assert only["holder"].endswith("/w")
    assert [each["name"] for each in read(api.get("locks?event=summer"))["data"]] == ["elsewhere"]
    assert read(api.get("locks?name=absent"))["data"] == []


@pytest.mark.parametrize("query", ["after=%00", "name=" + "x" * 257, "limit=0", "event=a%20b"])
def test_a_wrong_query_parameter_is_named(api: Api, query: str) -> None:
    told = api.get(f"locks?{query}")
    assert told.status_code == 400
    assert read(told)["error"].startswith(query.partition("=")[0])


def test_the_admin_lists_locks_with_their_queues(api: Api, other: Api) -> None:
    acquire(api)
    acquire(other, status=202, wait=30)
    acquire(api, "elsewhere", event="summer")
    page = "/admin/ledger/operationrecord/locks/"
    person = Client()
    person.force_login(User.objects.create_user("plain", is_staff=True))
    assert person.get(page).status_code == 403
    person.force_login(User.objects.create_superuser("root"))
    text = person.get(page).content.decode()
    for shown in ("leader", "elsewhere", "summer", "/w</code> of gateway, until"):
        assert shown in text
    assert person.get(page + "?after=zz").status_code == 302
    assert "<b>Locks</b>" in person.get("/admin/").content.decode()


def test_each_lock_of_an_event_is_shown_with_its_own_queue(api: Api, other: Api) -> None:
    for name in ("empty", "leader"):
        acquire(api, name)
    acquire(other, "leader", status=202, wait=30)
    person = Client()
    person.force_login(User.objects.create_superuser("root"))
    page = person.get("/admin/ledger/operationrecord/locks/").content.decode()
    _, empty, leader = re.split(r'row">(?:empty|leader)<', page)
    assert ["of gateway, until" in row for row in (empty, leader)] == [False, True]


def test_pages_of_locks_follow_each_other_in_the_admin(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validators.dashboard.locks.PAGE_SIZE", 2)
    for name in ("a", "b", "c"):
        acquire(api, name)
    person = Client()
    person.force_login(User.objects.create_superuser("root"))
    page = "/admin/ledger/operationrecord/locks/"
    first = person.get(page).content.decode()
    following = re.search(r'href="(\?after=[0-9a-f]+)"', first)
    assert following is not None
    second = person.get(page + following[1]).content.decode()
    assert [f'row">{name}<' in first for name in "abc"] == [True, True, False]
    assert [f'row">{name}<' in second for name in "abc"] == [False, False, True]
