"""The tickets page's data: searching by id, order and name, states apart, one ticket with its history."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dtvn.machine import Command, build
from tests.pages.learner import RealLearner
from tests.team_keys import join
from tickets.models import TicketHolder
from tickets.services import search as searching
from tickets.services.data_text import in_words

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

Operate = Callable[..., Any]
Submit = Callable[[Command, str], None]
FOUND = "/dashboard/tickets/found"
ONE = "/dashboard/tickets/one"
HOLDERS = {
    "ABC12-1": "Ada Lovelace",
    "ABC12-2": "Grace Hopper",
    "XYZ99-1": "Jürgen MÜLLER-Østergård",
    "GATE-ADA": "",
}


@pytest.fixture
def submit(learner: RealLearner) -> Submit:
    """Have one command on a ticket of the default event executed."""

    def run(command: Command, ticket: str) -> None:
        until = (int(time.time()) + 600) * 1_000_000
        operation = build(command, ticket=ticket, actor="desk", entry="r0", valid_until=until)
        (result,) = learner.gateway.submit([operation]).result()
        assert result.code == "ok", result

    return run


@pytest.fixture
def guests(learner: RealLearner, operate: Operate) -> None:
    operate(*(f"issue {ticket}" for ticket in HOLDERS), "issue NOBODY")
    operate("issue ABC12-3", event="friday")
    named = [*(("default", *each) for each in HOLDERS.items()), ("friday", "ABC12-3", "Ada Friday")]
    TicketHolder.objects.bulk_create(
        TicketHolder(event=event, ticket=ticket, name=name, salt=b"s") for event, ticket, name in named
    )


def person(group: str) -> Client:
    user = User.objects.create_user(f"person-{group}")
    join(user, group)
    client = Client()
    client.force_login(user)
    return client


def ids(client: Client, **query: str) -> list[str]:
    response = client.post(FOUND, query)
    assert response.status_code == 200, response.content
    return [ticket["id"] for ticket in response.json()["tickets"]]


@pytest.mark.usefixtures("guests")
def test_a_search_may_be_of_one_event_and_state(admin: Client, operate: Operate) -> None:
    operate("validate ABC12-1")
    assert ids(admin, q="ada", event="friday") == ["ABC12-3"]
    assert ids(admin, q="abc", state="validated") == ["ABC12-1"]
    assert admin.post(FOUND).json()["events"] == ["default", "friday"]


@pytest.mark.usefixtures("guests")
def test_blocked_tickets_are_found_and_counted_by_event(admin: Client, operate: Operate) -> None:
    operate("block ABC12-1", "block NOBODY")
    operate("block ABC12-3", event="friday")
    found = [admin.post(FOUND, {"state": "blocked"} | more).json() for more in ({}, {"event": "friday"})]
    assert [([one["id"] for one in each["tickets"]], each["total"]) for each in found] == [
        (["ABC12-1", "NOBODY", "ABC12-3"], 3),
        (["ABC12-3"], 1),
    ]
    none = admin.post(FOUND, {"state": "upheld"}).json()
    assert (none["tickets"], none["total"], "hint" in none) == ([], 0, False)
    assert admin.post(FOUND, {"q": "nobody at all"}).json()["hint"] == ""


def test_pages_of_a_search_continue_after_a_key(
    learner: RealLearner, operate: Operate, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SCANNED_AT_ONCE", 7)
    monkeypatch.setattr(searching, "SCANNED_MAX", 21)
    operate(*(f"issue T-{number:03}" for number in range(130)))
    operate(*(f"issue U-{number:03}" for number in range(30)), event="other")
    for query, expected in (
        ({}, 160),
        ({"q": "0"}, sum("0" in f"{number:03}" for number in (*range(130), *range(30)))),
        ({"q": "nowhere"}, 0),
    ):
        seen: list[str] = []
        after, answers = "", 0
        while after is not None:
            part = admin.post(FOUND, {**query, "after": after}).json()
            seen += [ticket["id"] for ticket in part["tickets"]]
            assert len(part["tickets"]) <= 50
            after, answers = part["after"], answers + 1
            assert answers < 20
        assert len(seen) == len(set(seen)) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"q": "a " * 6}, "q"),
        ({"q": "word " * 1_000}, "q"),
        ({"q": "x" * 201}, "q"),
        ({"state": "DISPUTED"}, "state"),
        ({"event": "a/b"}, "event"),
        ({"after": "nonsense"}, "after"),
        ({"after": "a/b/c"}, "after"),
    ],
)
def test_a_bad_search_is_400_and_names_the_parameter(
    learner: RealLearner, operate: Operate, admin: Client, query: dict[str, str], field: str
) -> None:
    operate("issue T-1")
    response = admin.post(FOUND, query)
    assert (response.status_code, response.json()["error"].split()[0]) == (400, field)


def test_of_an_erased_holder_only_the_day_is_shown(operate: Operate, admin: Client) -> None:
    operate("issue T-1")
    holder = TicketHolder.objects.create(
        event="default", ticket="T-1", name="Ada", company="Engines", order="O-1", salt=b"s" * 32
    )
    shown = admin.get(ONE, {"event": "default", "ticket": "T-1"}).json()["facts"]
    assert [fact for fact in shown if fact[0] in ("Holder", "Order")] == [
        ["Holder", "Ada, Engines"],
        ["Order", "O-1"],
    ]
    TicketHolder.objects.filter(pk=holder.pk).update(erased_at=datetime(2026, 11, 3, 12, tzinfo=UTC))
    shown = admin.get(ONE, {"event": "default", "ticket": "T-1"}).json()["facts"]
    assert [fact for fact in shown if fact[0] in ("Holder", "Order")] == [["Holder", "erased on 2026-11-03"]]


@pytest.mark.parametrize(
    ("event", "ticket", "status"), [("default", "T-9", 404), ("default", "a b", 404), ("", "T-1", 400)]
)
def test_a_ticket_that_does_not_exist_is_404(
    learner: RealLearner, operate: Operate, admin: Client, event: str, ticket: str, status: int
) -> None:
    operate("issue T-1")
    assert admin.get(ONE, {"event": event, "ticket": ticket}).status_code == status


@pytest.mark.parametrize(("path", "method", "wrong"), [(FOUND, "post", "get"), (ONE, "get", "post")])
def test_ticket_data_needs_a_login_and_is_not_cached(
    client: Client, admin: Client, path: str, method: str, wrong: str
) -> None:
    assert getattr(Client(), method)(path).status_code == 401
    assert getattr(admin, method)(path).headers["Cache-Control"] == "no-store"
    assert getattr(admin, wrong)(path).status_code == 405
    other_site = Client(enforce_csrf_checks=True)
    other_site.cookies = admin.cookies
    assert other_site.post(path).status_code == 403


def test_before_there_is_a_ledger_no_ticket_is_found(admin: Client) -> None:
    assert admin.post(FOUND).json() == {"sequence": 0, "tickets": [], "after": None, "total": 0, "events": []}


def test_the_data_of_a_ticket_is_shown_as_words(admin: Client, operate: Operate) -> None:
    operate("seed")
    told = (
        "event: Summer Music Festival 2026, venue: Grand Arena, {}price: 150.00, buyer: buyer_001@email.com"
    )
    (listed,) = admin.post(FOUND, {"q": "TICKET-001"}).json()["tickets"]
    assert listed["about"] == f"VIP, A1, {told.format('')}"
    facts = dict(admin.get(ONE, {"event": "default", "ticket": "TICKET-001"}).json()["facts"])
    assert facts["Data"] == told.format("section: VIP, seat: A1, ")
    assert in_words(b'{"is_vip": true, "n": null, "at": [1, {"a": "b"}]}') == "is vip: yes, at: 1 a b"
    assert in_words(b"\xffplain {") == "\N{REPLACEMENT CHARACTER}plain {"
    assert in_words(b"[" * 60_000).startswith("[[")
