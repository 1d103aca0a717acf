"""The lists of an event on the organiser's pages: added, changed, counted and taken away, over real rows."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError, connections
from django.test import Client

from dtvn.machine.lists import CAPACITY_MAX, LISTS_MAX, EventList
from tests.pages.learner import RealLearner
from tests.pages.test_events_page import EVENTS, FORM, text
from tickets.exporting import open_table, write_chunks
from tickets.pages import event_lists
from tickets.services import interventions
from validators.data_folder.routers import LEARNER_ALIAS
from validators.feed.rows import read_snapshot
from validators.ledger import read
from validators.ledger.models import OperationRecord
from validators.ledger.read import event_row

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

LIST = "/dashboard/tickets/events/list"
SLUG = "midsummer-2026"
VIP: dict[str, Any] = {
    "list": "vip",
    "name": "VIP lounge",
    "takes": "some",
    "product": ["VIP"],
    "opens": "2026-06-19T18:00",
    "closes": "2030-06-21T02:00",
    "rule": "free",
    "times": "",
    "exit_first": "on",
    "capacity": "50",
}


def lists() -> dict[str, EventList]:
    row = event_row(LEARNER_ALIAS, SLUG)
    assert row is not None
    return {each.slug: each for each in row.lists}


def save(admin: Client, changed: str = "", **fields: Any) -> Any:
    """Save the form of a list as a browser has it, with these fields."""
    address = f"{LIST}?slug={SLUG}" + (f"&list={changed}" if changed else "")
    return admin.post(address, {"as_of": admin.get(address).context["form"].as_of} | fields)


def ask(admin: Client, path: str, **body: Any) -> int:
    sent = {"event": SLUG} | body
    return admin.post(f"/api/v1/tickets{path}", sent, content_type="application/json").status_code


@pytest.fixture
def festival(learner: RealLearner, admin: Client) -> Client:
    """An organiser whose event has a VIP lounge and a meal a day beside a daily main entrance."""
    assert admin.post(EVENTS, FORM).status_code == 302
    assert save(admin, **VIP).status_code == 302
    meal = {"list": "meal", "name": "Meal", "takes": "all", "rule": "daily"}
    assert save(admin, **meal).status_code == 302
    assert save(admin, "main", rule="daily", takes="all", exit_first="on").status_code == 302
    return admin


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"list": "a b"}, "list", "The short name must be"),
        ({"list": "meal"}, "list", "a list of this short name already"),
        ({"list": "main"}, "list", "a list of this short name already"),
        ({"name": "VIP\x07"}, "name", "without control characters"),
        ({"product": []}, "takes", "Tick at least one product"),
        ({"rule": "often"}, "rule", "Choose how often"),
        ({"rule": "times"}, "times", "at least 1"),
        ({"rule": "times", "times": "1001"}, "times", "from 0 to 1,000"),
        ({"opens": "soon"}, "opens", "It must be a date and a time"),
        ({"opens": "2026-03-29T02:30"}, "opens", "the clocks of the zone skip"),
        ({"opens": "1969-12-31T23:00"}, "opens", "It must be after 1970."),
        ({"closes": "2026-06-18T18:00"}, "closes", "The list closes before it opens"),
        ({"capacity": "-1"}, "capacity", "a whole number"),
        ({"capacity": f"{CAPACITY_MAX + 1}"}, "capacity", f"from 0 to {CAPACITY_MAX:,}"),
        ({"list": "l" * 65}, "list", "must be 1 to 64 characters"),
        ({"name": "N" * 129}, "name", "at most 128 characters"),
    ],
)
def test_a_wrong_field_is_told_beside_it_and_what_was_typed_stays(
    festival: Client, fields: dict[str, Any], field: str, said: str
) -> None:
    answer = save(festival, **VIP | {"list": "vip-2", "name": "Second lounge"} | fields)
    assert answer.status_code == 400
    assert [name for name, sentence in answer.context["problems"].items() if said in sentence] == [field]
    assert f'id="{field}-problem"' in text(answer)
    assert f'aria-describedby="{field}-problem"' in text(answer)
    assert f'value="{fields.get("name", "Second lounge")}"' in text(answer)
    assert sorted(lists()) == ["main", "meal", "vip"]


def test_an_event_has_a_bounded_number_of_lists(festival: Client) -> None:
    written = [{"list": each} for each in ("meal", "vip", *(f"l{at:02}" for at in range(30)))]
    body = {"lists": written}
    address = f"/api/v1/events/{SLUG}"
    assert festival.put(address, body, content_type="application/json").status_code == 200
    full = sorted(lists())
    late = save(festival, **VIP | {"list": "terrace"})
    said = f"An event has at most {LISTS_MAX} lists."
    assert (late.status_code, late.context["problems"]) == (409, {"": said})
    assert sorted(lists()) == full
    assert save(festival, "l28", take_away="yes").status_code == 302
    assert save(festival, **VIP | {"list": "terrace"}).status_code == 302


def test_a_list_that_the_cluster_does_not_take_is_told_and_what_was_typed_stays(
    festival: Client, learner: RealLearner
) -> None:
    learner.gateway.quorum = False
    late = save(festival, **VIP | {"list": "terrace"})
    assert (late.status_code, list(late.context["problems"])) == (409, [""])
    assert 'value="VIP lounge"' in text(late)
    assert "terrace" not in lists()


@pytest.mark.parametrize(
    ("slug", "fields"),
    [("vip", VIP), ("main", {"rule": "daily", "takes": "all", "exit_first": "on"})],
)
def test_saving_a_list_without_a_change_orders_nothing_and_says_so(
    festival: Client, slug: str, fields: dict[str, Any]
) -> None:
    before = event_row(LEARNER_ALIAS, SLUG)
    page = text(festival.get(save(festival, slug, **fields).url))
    assert f"Nothing was changed: the list {slug} of {SLUG} is as it was." in page
    assert event_row(LEARNER_ALIAS, SLUG) == before


def test_two_organisers_do_not_overwrite_each_others_lists(festival: Client) -> None:
    stale = festival.get(LIST, {"slug": SLUG}).context["form"].as_of
    assert save(festival, **VIP | {"list": "backstage"}).status_code == 302
    for other in (stale, "", "1.0", "999.0"):
        late = save(festival, **VIP | {"list": "terrace"}, as_of=other)
        assert late.status_code == 409
        assert "The event was changed meanwhile" in text(late)
    assert sorted(lists()) == ["backstage", "main", "meal", "vip"]


def test_an_event_has_as_many_lists_as_the_page_says(
    festival: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no room for another list, existing ones may still be changed."""
    monkeypatch.setattr(event_lists, "LISTS_MAX", 4)
    assert save(festival, **VIP | {"list": "terrace"}).status_code == 302
    full = save(festival, **VIP | {"list": "backstage"})
    assert full.status_code == 409
    assert "An event has at most 4 lists." in text(full)
    assert save(festival, "terrace", **VIP | {"name": "Terrace"}).status_code == 302
    assert {slug: each.name for slug, each in lists().items()} == {
        "main": "",
        "meal": "Meal",
        "terrace": "Terrace",
        "vip": "VIP lounge",
    }


def test_a_list_taken_away_keeps_what_was_entered(festival: Client) -> None:
    assert ask(festival, "", ticket_id="T-1", product="VIP") == 200
    assert ask(festival, "/admit", ticket_id="T-1", list="meal", gate="tent") == 200
    gone = save(festival, "meal", take_away="yes")
    assert gone.status_code == 302
    assert sorted(lists()) == ["main", "vip"]
    assert ask(festival, "/admit", ticket_id="T-1", list="meal", gate="tent") == 404
    page = festival.get(gone["Location"])
    assert "The list meal was taken away" in text(page)
    (left,) = [one for one in page.context["lists"] if one["slug"] == "meal"]
    assert (left["name"], left["words"], left["sums"].entries) == ("meal (taken away)", "", 1)
    assert save(festival, "main", take_away="yes").status_code == 409
    assert festival.get(LIST, {"slug": SLUG, "list": "meal"}).status_code == 404


def play(admin: Client) -> None:
    """A day: each line is what a person at a gate does, and what the answer is."""
    for number, product in enumerate(("Adult", "Adult", "VIP", "VIP", "Parking"), start=1):
        assert ask(admin, "", ticket_id=f"T-{number}", product=product) == 200
    assert ask(admin, "", ticket_id="G-1", product="Adult", entries=3) == 200
    north, south, lounge = ({"gate": name, "device": f"{name}-1"} for name in ("north", "south", "lounge"))
    day: list[tuple[int, str, dict[str, Any]]] = [
        (200, "/admit", {"ticket_id": "T-1"} | north),
        (409, "/admit", {"ticket_id": "T-1"} | south),
        (200, "/admit", {"ticket_id": "T-1", "kind": "exit"} | south),
        (409, "/admit", {"ticket_id": "T-1"} | south),  # once a day
        (200, "/force", {"ticket_id": "T-1", "reason": "lost a child inside"} | south),
        (200, "/admit", {"ticket_id": "T-2"} | north),
        (200, "/annul", {"ticket_id": "T-2"} | north | {"gate": "office"}),
        (200, "/admit", {"ticket_id": "T-3"} | south),
        (409, "/admit", {"ticket_id": "T-5"} | south),  # parking
        (200, "/admit", {"ticket_id": "G-1"} | north),
        (200, "/admit", {"ticket_id": "G-1"} | north),
        (200, "/admit", {"ticket_id": "T-3", "list": "vip"} | lounge),
        (409, "/admit", {"ticket_id": "T-3", "list": "vip"} | lounge),  # still inside
        (200, "/admit", {"ticket_id": "T-3", "list": "vip", "kind": "exit"} | lounge),
        (200, "/admit", {"ticket_id": "T-3", "list": "vip"} | lounge),
        (409, "/admit", {"ticket_id": "T-1", "list": "vip"} | lounge),  # another product
        (200, "/force", {"ticket_id": "T-1", "list": "vip", "reason": "the band's guest"} | lounge),
        (200, "/annul", {"ticket_id": "T-1", "list": "vip", "reason": "the wrong person"} | lounge),
    ]
    for expected, path, body in day:
        assert ask(admin, path, **body) == expected, (path, body)


def test_a_person_inside_on_two_lists_is_one_person_on_site(festival: Client) -> None:
    play(festival)
    page = festival.get(EVENTS, {"slug": SLUG})
    inside = {one["slug"]: one["sums"].inside for one in page.context["lists"]}
    assert inside == {"main": 4, "meal": 0, "vip": 1}, "T-3 is inside on main and in the lounge"
    assert (page.context["on_site"], "4 persons; who is inside" in text(page)) == (4, True)


def test_the_office_sees_blocked_tickets_whose_guests_are_inside(festival: Client) -> None:
    play(festival)
    assert "Blocked, but inside" not in text(festival.get(EVENTS, {"slug": SLUG}))
    for ticket in ("T-2", "T-3"):
        assert ask(festival, "/block", ticket_id=ticket, reason="cancelled") == 200
    page = festival.get(EVENTS, {"slug": SLUG})
    link = f'?event={SLUG}&amp;state=blocked_inside">1 ticket</a>'
    assert (link in text(page), page.context["on_site"]) == (True, 4)
    found = festival.post("/dashboard/tickets/found", {"event": SLUG, "state": "blocked_inside"}).json()
    assert [one["id"] for one in found["tickets"]] == ["T-3"], "T-2 was taken back"


@pytest.mark.parametrize(
    ("gate", "tickets"),
    [
        ("north", ["G-1", "T-1", "T-2"]),  # T-1 moved on to others, and of T-2 it was taken back elsewhere
        ("south-1", ["T-1", "T-3"]),  # by device
        ("office", ["T-2"]),
        ("lounge", ["T-1", "T-3"]),
    ],
)
def test_the_link_of_a_gate_finds_all_who_passed_it(festival: Client, gate: str, tickets: list[str]) -> None:
    """Whatever they did afterwards, as far as their tickets keep it."""
    play(festival)
    page = festival.get(EVENTS, {"slug": SLUG})
    assert f'?event={SLUG}#q=north">north</a>' in text(page)
    found = festival.post("/dashboard/tickets/found", {"event": SLUG, "q": gate}).json()
    assert [one["id"] for one in found["tickets"]] == tickets


def enter_long_ago(admin: Client, *tickets: str) -> None:
    """These entered on another day, and their state is CONSUMED."""
    assert save(admin, "main", rule="once", takes="all").status_code == 302
    for ticket in tickets:
        assert ask(admin, "/import_entry", ticket_id=ticket, at=1_700_000_000) == 200
    assert save(admin, "main", rule="daily", takes="all").status_code == 302


def test_a_guest_of_the_first_day_is_admitted_by_name_on_the_second(festival: Client) -> None:
    for number, product in enumerate(("Adult", "Parking"), start=1):
        assert ask(festival, "", ticket_id=f"T-{number}", product=product) == 200
    enter_long_ago(festival, "T-1", "T-2")

    def offered() -> list[tuple[str, str, bool]]:
        found = festival.post("/dashboard/tickets/found", {"event": SLUG}).json()["tickets"]
        return [(one["id"], one["meaning"], "admit" in one["acts"]) for one in found]

    assert offered() == [("T-1", "admitted before, may enter again", True), ("T-2", "admitted", False)]
    assert ask(festival, "/block", ticket_id="T-1", reason="lost") == 200
    assert offered()[0] == ("T-1", "admitted before, may enter again", False)
    assert ask(festival, "/unblock", ticket_id="T-1") == 200
    assert ask(festival, "/admit", ticket_id="T-1", gate="desk") == 200
    assert offered()[0] == ("T-1", "admitted", False)


def test_the_report_names_who_forced_and_annulled_when_where_and_why(festival: Client) -> None:
    play(festival)
    lounge = {"ticket_id": "T-3", "list": "vip", "gate": "lounge", "device": "lounge-1"}
    assert ask(festival, "/admit", **lounge, kind="exit") == ask(festival, "/annul", **lounge) == 200
    retried = {"ticket_id": "T-2", "gate": "north", "reason": "asked twice", "nonce": "forced-once-0001"}
    assert ask(festival, "/force", **retried) == ask(festival, "/force", **retried) == 200
    report = festival.get("/dashboard/tickets/events/interventions", {"event": SLUG})
    rows = [
        (one["forced"], one["taken"], one["ticket"], one["list"], one["gate"], one["who"], one["reason"])
        for one in report.context["rows"]
    ]
    assert rows == [
        (True, "", "T-2", "main", "north", "operator", "asked twice"),
        (False, "exit", "T-3", "vip", "lounge", "operator", ""),
        (False, "entry", "T-1", "vip", "lounge", "operator", "the wrong person"),
        (True, "", "T-1", "vip", "lounge", "operator", "the band's guest"),
        (False, "entry", "T-2", "main", "north", "operator", ""),
        (True, "", "T-1", "main", "south", "operator", "lost a child inside"),
    ]
    assert "annulled</span> exit" in text(report)
    newest = report.context["rows"][0]
    at = OperationRecord.objects.get(sequence=int(newest["place"].split(".")[0]), operation="force").timestamp
    zone = ZoneInfo(report.context["zone"])
    assert zone.utcoffset(datetime.now(UTC)), "not UTC, which the log is in"
    assert newest["at"] == f"{datetime.fromtimestamp(at // 1_000_000, zone):%Y-%m-%d %H:%M:%S}"
    address = "/dashboard/tickets/export/interventions.csv"
    assert festival.get(address, {"event": SLUG}).status_code == 200
    content = b"".join(write_chunks(open_table("interventions", SLUG), "csv")).decode("utf-8-sig")
    written = list(csv.DictReader(io.StringIO(content)))
    columns = ("what", "taken_back", "ticket_id", "gate", "actor", "reason")
    assert [tuple(row[name] for name in columns) for row in written] == [
        ("forced" if forced else "annulled", taken, ticket, gate, f"user:{who}", reason)
        for forced, taken, ticket, _list, gate, who, reason in reversed(rows)
    ]
    assert festival.get("/dashboard/tickets/events/interventions", {"event": "none"}).status_code == 404


def test_an_annulment_takes_back_what_stood_on_its_own_list_and_event(festival: Client) -> None:
    """Whatever the ticket, or one of its name elsewhere, did in between; and it may need no supervision."""
    for event in (SLUG, "elsewhere"):
        assert ask(festival, "", ticket_id="T-9", product="VIP", event=event) == 200
    assert ask(festival, "/admit", ticket_id="T-9", gate="north") == 200
    assert ask(festival, "/admit", ticket_id="T-9", gate="lounge", list="vip") == 200
    assert ask(festival, "/admit", ticket_id="T-9", gate="far", event="elsewhere") == 200
    assert ask(festival, "/annul", ticket_id="T-9", gate="north") == 200
    supervised = {"supervised": True, "reason": "the wrong person"}
    assert ask(festival, "/annul", ticket_id="T-9", gate="south", list="vip", **supervised) == 200
    found, _more = interventions.newest(SLUG, 9)
    assert [(one.list, one.gate, one.taken, one.reason, one.supervised) for one in found] == [
        ("vip", "lounge", "entry", "the wrong person", True),
        ("main", "north", "entry", "", False),
    ]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_the_report_names_each_once_however_few_are_read_at_once(
    festival: Client, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    play(festival)
    whole, more = interventions.newest(SLUG, 99)
    assert (len(whole), more) == (4, False)
    monkeypatch.setattr(interventions, "AT_ONCE", at_once)
    assert [interventions.newest(SLUG, limit) for limit in (1, 3, 4)] == [
        (whole[:1], True),
        (whole[:3], True),
        (whole, False),
    ]
    assert list(chain.from_iterable(interventions.pages(SLUG))) == whole[::-1]


def test_while_the_copy_is_away_nothing_is_told_or_changed(
    festival: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_given: Any) -> Any:
        raise OperationalError("the server closed the connection")

    before = lists()
    with monkeypatch.context() as context:
        context.setattr(read, "event_row", away)
        context.setattr(read, "list_events", away)
        answers = [
            festival.get("/dashboard/tickets/events/interventions", {"event": SLUG}),
            festival.get(LIST, {"slug": SLUG, "list": "vip"}),
            festival.post(f"{LIST}?slug={SLUG}&list=vip", {"take_away": "yes"}),
            festival.post(f"{EVENTS}?slug={SLUG}", FORM),
        ]
    assert [(one.status_code, one.context["sentence"]) for one in answers] == [
        (404, "There is no such event."),
        *[(503, "Nothing is here yet: start the network first.")] * 3,
    ]
    assert lists() == before


def test_operations_of_which_the_copy_has_no_bodies_are_told_without_their_reasons(festival: Client) -> None:
    """As after a snapshot."""
    play(festival)

    def told() -> list[tuple[str, str, str]]:
        shown = festival.get("/dashboard/tickets/one", {"event": SLUG, "ticket": "T-1"}).json()["history"]
        return [(one["operation"], one["code"], one["reason"]) for one in shown]

    whole = told()
    assert len([reason for _operation, _code, reason in whole if reason]) == 3
    with connections[LEARNER_ALIAS].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_batchbody")
    assert told() == [(operation, code, "") for operation, code, _reason in whole]
    assert interventions.newest(SLUG, 9) == ([], False)


def test_the_history_and_the_live_page_name_list_exit_and_what_a_person_overruled(festival: Client) -> None:
    play(festival)
    shown = festival.get("/dashboard/tickets/one", {"event": SLUG, "ticket": "T-1"}).json()["history"]
    told = [
        (one["word"], one["code"], one["list_name"], one["gate"], one["reason"], one["annulled"])
        for one in shown
    ]
    lounge, main = "VIP lounge", "Main entrance"
    assert told == [
        ("annulled", "ok", lounge, "lounge", "the wrong person", False),
        ("forced in", "ok", lounge, "lounge", "the band's guest", True),
        ("admit", "wrong_product", lounge, "lounge", "", False),
        ("forced in", "ok", main, "south", "lost a child inside", False),
        ("admit", "already_consumed", main, "south", "", False),
        ("left", "ok", main, "south", "", False),
        ("admit", "already_consumed", main, "south", "", False),
        ("admitted", "ok", main, "north", "", False),
        ("added", "ok", "", "", "", False),
    ]
    assert ask(festival, "/admit", ticket_id="T-3", list="bar", gate="north", kind="exit") == 404
    unknown, annulled, forced = read_snapshot()["latest"][:3]
    assert (unknown["list"], unknown["kind"], unknown["gate"]) == ("bar", "exit", "north")
    assert (annulled["type"], annulled["list"], annulled["gate"]) == ("ticket_annulled", "vip", "lounge")
    assert (forced["operation"], forced["list"], forced["forced"]) == ("force", "vip", True)
