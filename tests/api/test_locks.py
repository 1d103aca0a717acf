"""Locks by REST: acquired, renewed, released, waited for; owners apart; pages; errors name fields."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dtvn.api.lock_lists import holder_of, lock_object, shown_holder
from dtvn.api.locks import AcquireBody, answer_lock
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Lock
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from validators.ledger.lock_rows import LockReader
from validators.services import api_keys

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

OTHER = "dtvn_another_key_that_may_lock"
GATE = "dtvn_a_key_that_may_operate_only"


@pytest.fixture
def other(api: Api) -> Api:
    api_keys.store_api_key(OTHER, label="other", scopes=["lock"])
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


def test_the_same_caller_of_another_platform_is_another_holder() -> None:
    held = canonical.encode(LockRow("platform-a", b"key:1/w", 1, 2**50))
    decision = Decision(Request(Lock("leader", b"key:1/w", 1, 1)), Result("lock_waiting", held, 7))
    body = AcquireBody(name="leader", holder="w", lease=1, wait=1)
    ledger = LockReader("learner")
    assert answer_lock("acquire", body, decision, ledger, principal="platform-b").status == 202
    assert answer_lock("acquire", body, decision, ledger, principal="platform-a").status == 200


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


@pytest.mark.parametrize(
    ("verb", "field", "value"),
    [
        ("acquire", "name", ""),
        ("acquire", "name", "x" * 257),
        ("acquire", "name", "a\x00b"),
        ("acquire", "name", 1),
        ("acquire", "holder", ""),
        ("acquire", "holder", "two words"),
        ("acquire", "lease", 0),
        ("acquire", "lease", 601),
        ("acquire", "lease", "1"),
        ("acquire", "lease", True),
        ("acquire", "wait", -1),
        ("acquire", "wait", 601),
        ("renew", "token", -1),
        ("renew", "token", 2**63),
        ("release", "token", 1.5),
        ("cancel", "event", "a b"),
        ("cancel", "nonce", ""),
    ],
)
def test_a_wrong_field_is_named(api: Api, verb: str, field: str, value: Any) -> None:
    body = {"name": "leader", "holder": "w", "lease": 1, "token": 1, field: value}
    told = api.post(f"locks/{verb}", body)
    assert (told.status_code, read(told)["code"]) == (400, "bad_request")
    assert read(told)["error"].startswith(field)


@pytest.mark.parametrize("query", ["after=%00", "name=" + "x" * 257, "limit=0", "event=a%20b"])
def test_a_wrong_query_parameter_is_named(api: Api, query: str) -> None:
    told = api.get(f"locks?{query}")
    assert told.status_code == 400
    assert read(told)["error"].startswith(query.partition("=")[0])


def test_locks_need_their_own_scope(api: Api) -> None:
    api_keys.store_api_key(GATE, label="gate", scopes=["operate", "gate", "issue", "admin", "record"])
    gate = Api(GATE)
    assert acquire(gate, status=403)["code"] == "not_permitted"
    assert gate.get("locks").status_code == 200


def test_a_key_for_one_event_locks_and_lists_there_only(api: Api) -> None:
    api_keys.store_api_key(OTHER, label="summer", scopes=["lock"], event="summer")
    summer = Api(OTHER)
    assert acquire(summer)["data"]["event"] == "summer"
    assert acquire(summer, event="winter", status=403)["code"] == "not_permitted"
    assert [each["event"] for each in read(summer.get("locks"))["data"]] == ["summer"]
    assert summer.get("locks?event=winter").status_code == 403


def test_without_a_quorum_nothing_was_sent(api: Api, fake: FakeGateway) -> None:
    fake.quorum = False
    assert acquire(api, status=503)["code"] == "unavailable"
    fake.quorum, fake.mute = True, True
    assert acquire(api, status=504)["code"] == "outcome_unknown"


def test_a_holder_is_the_same_in_the_log_and_in_lists() -> None:
    row = LockRow("p", holder_of("key:7", "worker-1"), 1, 2_500_000)
    assert lock_object("e", "n", row)["holder"] == "key:7/worker-1"
    long = holder_of("a-user-with-a-rather-long-name", "worker-1")
    assert (len(long), lock_object("e", "n", LockRow("p", long, 1, 2))["holder"]) == (32, long.hex())


@pytest.mark.parametrize(("length", "clear"), [(31, True), (32, False), (33, False)])
def test_a_holder_as_long_as_a_hash_is_one(length: int, *, clear: bool) -> None:
    """Else a name could be chosen that is the hash of another caller's."""
    actor = "key:1"
    word = "w" * (length - len(f"{actor}/"))
    found = holder_of(actor, word)
    assert (found == f"{actor}/{word}".encode(), len(found)) == (clear, 31 if clear else 32)
    assert shown_holder(found) == (f"{actor}/{word}" if clear else found.hex())


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
