"""The tickets page's data: searching by id, order and name, states apart, one ticket with its history."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from dtvn.machine import Admit, Command, Issue, SetEvent, build
from tests.pages.learner import RealLearner
from tickets.models import TicketHolder
from tickets.pages import tickets
from tickets.services import search as searching
from tickets.services.data_text import in_words
from validators.services.api_keys import store_api_key

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
    user.groups.add(Group.objects.get_or_create(name=group)[0])
    client = Client()
    client.force_login(user)
    return client


def ids(client: Client, **query: str) -> list[str]:
    response = client.post(FOUND, query)
    assert response.status_code == 200, response.content
    return [ticket["id"] for ticket in response.json()["tickets"]]


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("abc12", ["ABC12-1", "ABC12-2", "ABC12-3"]),
        ("c12-2", ["ABC12-2"]),
        ("LOVE", ["ABC12-1"]),
        ("ada", ["ABC12-1", "GATE-ADA", "ABC12-3"]),
        ("müller", ["XYZ99-1"]),
        ("mu\u0308ller", ["XYZ99-1"]),
        ("jurgen muller", ["XYZ99-1"]),
        ("ostergard", ["XYZ99-1"]),
        ("ada abc12-1", ["ABC12-1"]),
        ("a%", []),
        ("a\x00", []),
    ],
)
def test_tickets_are_found_by_any_part_of_id_and_name(admin: Client, words: str, expected: list[str]) -> None:
    assert ids(admin, q=words) == expected


@pytest.mark.usefixtures("guests")
def test_tickets_are_found_by_any_part_of_their_order(admin: Client) -> None:
    TicketHolder.objects.filter(ticket="GATE-ADA").update(order="Web-Größe-4711")
    assert ids(admin, q="GRÖSSE-47") == ["GATE-ADA"]
    shown = admin.get(ONE, {"event": "default", "ticket": "GATE-ADA"}).json()["facts"]
    assert ["Order", "Web-Größe-4711"] in shown


def test_a_ticket_is_told_by_its_own_event_alone(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    """Another event may have a ticket of this id: its holder, its zone and its history are not this one's."""
    until = (int(time.time()) + 600) * 1_000_000
    window = {"not_before": 1_785_510_000_000_000, "not_after": 4_000_000_000_999_999}
    commands: list[tuple[str, Command]] = [
        ("", SetEvent("Das Fest", "Asia/Tokyo", 0, True, ())),
        ("T-1", Issue(**window, blocked=True, block_reason="stolen")),
    ]
    operate("issue T-1", "validate T-1", event="default")
    actor = f"key:{store_api_key('a key', label='north gate').pk}"
    for ticket, command in commands:
        operation = build(command, ticket=ticket, event="fest", actor=actor, entry="r0", valid_until=until)
        assert [result.code for result in learner.gateway.submit([operation]).result()] == ["ok"]
    TicketHolder.objects.create(event="default", ticket="T-1", name="Ada", salt=b"s")
    TicketHolder.objects.create(event="fest", ticket="T-1", name="Grace", salt=b"s")
    told = admin.get(ONE, {"event": "fest", "ticket": "T-1"}).json()
    facts = dict(told["facts"])
    assert {name: facts[name] for name in ("Holder", "Valid from", "Valid until", "Blocked")} == {
        "Holder": "Grace",
        "Valid from": "2026-08-01 00:00:00 Asia/Tokyo",
        "Valid until": "2096-10-02 16:06:40 Asia/Tokyo",
        "Blocked": "stolen",
    }
    assert [(each["operation"], each["actor"]) for each in told["history"]] == [("issue", "north gate")]
    assert not {"admit", "validate", "block"} & set(told["acts"])
    assert "unblock" in told["acts"]
    other = admin.get(ONE, {"event": "default", "ticket": "T-1"}).json()
    assert dict(other["facts"])["Holder"] == "Ada"
    assert [each["operation"] for each in other["history"]] == ["validate", "issue"]


@pytest.mark.parametrize("words", ["a-17", "stehplatz", "STEHPLÄTZ a-1", "north", "north d-7"])
def test_tickets_are_found_by_seat_product_gate_and_device(
    learner: RealLearner, submit: Submit, admin: Client, words: str
) -> None:
    """What a gate can read off a ticket, and what is a link on the live page."""
    submit(Issue(product="Stehplätz", seat="A-17"), "T-1")
    submit(Admit(gate="north", device="d-7"), "T-1")
    submit(Issue(product="Seat", seat="B-2"), "T-2")
    assert ids(admin, q=words) == ["T-1"]


@pytest.mark.usefixtures("guests")
def test_an_address_finds_a_ticket_only_for_those_who_see_it(admin: Client) -> None:
    TicketHolder.objects.filter(ticket="GATE-ADA").update(email="ada.byron@example.org")
    assert ids(admin, q="BYRON@exam") == ids(person("organiser"), q="byron") == ["GATE-ADA"]
    assert ids(person("gate"), q="byron") == ids(person("auditor"), q="byron") == []


def test_a_holder_of_the_same_id_in_another_event_is_somebody_else(admin: Client, operate: Operate) -> None:
    """It is neither found by the other holder's name, order or address, nor shown with them."""
    for event, name in (("default", "Ada"), ("friday", "Grace"), ("gala", "")):
        operate("issue T-1", event=event)
        if name:
            email, order = f"{name}@example.org", f"order-of-{name}"
            TicketHolder.objects.create(
                event=event, ticket="T-1", name=name, email=email, order=order, salt=b"s"
            )

    def found(words: str) -> list[tuple[str, str]]:
        tickets = admin.post(FOUND, {"q": words}).json()["tickets"]
        return [(one["event"], one["holder"]) for one in tickets]

    for words in ("Ada", "order-of-ada", "ada@example"):
        assert found(words) == [("default", "Ada")]
    assert found("grace@") == [("friday", "Grace")]
    assert found("T-1") == [("default", "Ada"), ("friday", "Grace"), ("gala", found("T-1")[2][1])]
    assert not found("T-1")[2][1]


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


def test_the_page_says_how_much_its_script_may_ask_for(admin: Client) -> None:
    page = admin.get("/dashboard/tickets")
    asked = ("page_size", "part_size", "selected_max", "reason_max", "text_max")
    assert [page.context[name] for name in asked] == [50, 50, 10_000, 256, 4_096]
    for name in ("page-size", "part-size", "reason-max", "selected-max"):
        value = page.context[name.replace("-", "_")]
        assert f'data-{name}="{value}"' in page.content.decode()


def test_as_many_operations_as_are_shown_are_all(
    operate: Operate, admin: Client, learner: RealLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    operate("issue T-1", "validate T-1", "dispute T-1")
    for most, shown in ((2, ["dispute", "validate"]), (3, ["dispute", "validate", "issue"])):
        monkeypatch.setattr(tickets, "HISTORY_MAX", most)
        told = admin.get(ONE, {"event": "default", "ticket": "T-1"}).json()
        assert ([one["operation"] for one in told["history"]], told["more"]) == (shown, most < 3)


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


def test_an_upheld_ticket_is_never_shown_as_disputed(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    for ticket in ("T-1", "T-2"):
        operate(f"issue {ticket}", f"validate {ticket}", f"dispute {ticket}")
    operate("uphold T-2")
    assert ids(admin, state="disputed") == ["T-1"]
    assert ids(admin, state="upheld") == ["T-2"]
    assert [admin.post(FOUND, {"state": state}).json()["total"] for state in ("disputed", "upheld")] == [1, 1]
    shown = {ticket["id"]: ticket for ticket in admin.post(FOUND).json()["tickets"]}
    terms = ["block", "replace", "change"]
    assert [shown[name]["acts"] for name in ("T-1", "T-2")] == [["clear", "uphold", *terms], terms]
    assert shown["T-2"]["meaning"] == "final, never admitted"


@pytest.mark.parametrize(
    ("group", "offered"),
    [
        ("organiser", [["admit", "dispute"], ["validate", "admit"], []]),
        ("gate", [["admit"], ["admit"], []]),
        ("auditor", [[], [], []]),
        ("admin", [[], [], []]),
    ],
)
def test_each_ticket_offers_what_role_and_state_allow(
    learner: RealLearner, operate: Operate, group: str, offered: list[list[str]]
) -> None:
    operate("issue T-1", "validate T-1", "issue T-2", "issue T-3", "validate T-3", "consume T-3")
    acts = {ticket["id"]: ticket["acts"] for ticket in person(group).post(FOUND).json()["tickets"]}
    terms = {"block", "replace", "change"}  # of whoever operates, whatever the state
    assert [[act for act in acts[name] if act not in terms] for name in ("T-1", "T-2", "T-3")] == offered
    assert [terms & set(acts[name]) for name in ("T-1", "T-3")] == (
        [terms, terms - {"change"}] if group == "organiser" else [set(), set()]
    )


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


def test_one_ticket_is_shown_with_refusals_and_the_newest_first(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "validate T-1", "validate T-1", "dispute T-1")
    shown = admin.get(ONE, {"event": "default", "ticket": "T-1"}).json()
    told = [(each["operation"], each["code"]) for each in shown["history"]]
    assert told == [
        ("dispute", "ok"),
        ("validate", "already_validated"),
        ("validate", "ok"),
        ("issue", "ok"),
    ]
    assert (shown["state"], shown["more"]) == ("disputed", False)
    operate("clear T-1", "dispute T-1", "uphold T-1", "admit T-1", "clear T-1")
    shown = admin.get(ONE, {"event": "default", "ticket": "T-1"}).json()
    told = [(each["operation"], each["code"]) for each in shown["history"][:5]]
    assert (shown["state"], told) == (
        "upheld",
        [
            ("resolve", "already_upheld"),
            ("admit", "upheld"),
            ("uphold", "ok"),
            ("dispute", "ok"),
            ("clear", "ok"),
        ],
    )


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
