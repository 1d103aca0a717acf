"""What pages and downloads tell of a festival of two days, to each person who may look.

First a day is played over REST: entries, refusals, a forced and an annulled entry, disputes, blocks, replaced
codes. Then organiser, gate, auditor and superuser open the tickets page with its data, the events, their
lists, the interventions and the gate's page, change the event and its lists, and download what there is.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from openpyxl import load_workbook

from tests.api.festival import Day, make_fest
from tests.golden import Compare
from tests.importing.telling import told
from tests.pages.learner import RealLearner
from tests.support.clock import SetClock
from tests.team_keys import join
from tickets.exporting import KINDS, open_table, write_chunks
from tickets.models import TicketHolder

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"
TICKETS = "/dashboard/tickets"
EVENTS = f"{TICKETS}/events"


def play(day: Day) -> None:
    """The first day of the festival, and a morning after it."""
    make_fest(day)
    scans: list[tuple[str, str, dict[str, str]]] = [
        ("north", "ada/+1=", {"nonce": "scan-1"}),
        ("south", "ada/+1=", {}),
        ("north", "bob/+2=", {}),
        ("south", "bob/+2=", {}),
        ("lounge", "vip/+1=", {"list": "vip"}),
        ("lounge", "vip/+2=", {"list": "vip"}),
        ("lounge", "vip/+2=", {"list": "vip", "kind": "exit"}),
        ("south", "ada/+1=", {"list": "dinner"}),
        ("south", "ada/+1=", {"list": "dinner", "kind": "exit"}),
        ("desk", "vip/+1=", {"list": "ferry"}),
        ("north", "eve/+5=", {}),
    ]
    for who, code, fields in scans:
        day.clock.forward(60)
        day.at_gate(who, "admit", code, **fields)
    day.at_gate("chief", "force", "park/+1=", reason="carries the =cake")
    day.at_gate("chief", "force", "vip/+3=", list="vip", reason="moves chairs")
    day.at_gate(
        "chief", "annul", "bob/+2=", supervised=True, reason="turned back at the bags", device="south-1"
    )
    day.at_gate("lounge", "annul", "vip/+1=", list="vip")
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("validate", "A-3", {}),
        ("dispute", "A-3", {"reason": "two of them"}),
        ("validate", "A-4", {}),
        ("dispute", "A-4", {"reason": "copied"}),
        ("resolve", "A-4", {"verdict": "uphold"}),
        ("replace", "V-2", {"barcodes": ["vip-new"]}),
        ("change", "V-2", {"seat": "Sofa 3"}),
        ("import_entry", "V-3", {"at": 1_780_675_200, "gate": "harbour", "device": "old"}),
    ]
    for verb, ticket, changed in changes:
        day.ask("desk", "post", f"tickets/{verb}", {"event": "fest", "ticket_id": ticket, **changed})
    day.ask("organiser", "post", "tickets", {"ticket_id": "D-1", "product": "@free", "barcodes": ["d-1"]})
    TicketHolder.objects.create(event="fest", ticket="A-2", erased_at=day.clock.moment(), salt=b"")
    day.clock.forward(16 * 3600)
    day.at_gate("desk", "admit", "vip/+1=", list="ferry")
    day.story.restart()


def person(name: str, *groups: str) -> Client:
    """Somebody in these groups, logged in."""
    user = User.objects.create_user(name)
    join(user, *groups)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def day(clock: SetClock, learner: RealLearner) -> Day:
    found = Day(clock)
    play(found)
    return found


def test_the_tickets_page_and_its_data(day: Day, admin: Client, golden: Compare) -> None:
    story = day.story
    people = {
        "organiser": person("olga", "organiser"),
        "gate": person("gus", "gate"),
        "auditor": person("aud", "auditor"),
        "superuser": admin,
    }
    story.part("The page, for each")
    story.ask(Client(), "get", TICKETS)
    story.ask(person("nobody"), "get", TICKETS)
    for name, client in people.items():
        story.say(f"{name}:")
        story.ask(client, "get", TICKETS)
    story.part("What is found")
    for sent in (
        {},
        {"q": "ada"},
        {"q": "ADA-SECOND"},
        {"q": "vip/+2=", "event": "fest"},
        {"q": "VIP-NEW", "event": "fest"},
        {"q": "harbour"},
        {"q": "ost O-77"},
        {"q": "ada@example.org"},
        {"state": "blocked"},
        {"state": "upheld", "event": "fest"},
        {"state": "gone"},
        {"after": "fest/P-1", "ticket": "fest/A-1"},
        {"ticket": "fest/A-1", "event": "default"},
        {"after": "fest"},
        {"q": "x " * 40},
        {"event": "a b"},
    ):
        story.ask(people["organiser"], "post", f"{TICKETS}/found", sent)
    for name in ("gate", "auditor"):
        story.say(f"{name}:")
        story.ask(people[name], "post", f"{TICKETS}/found", {"q": "ada"})
        story.ask(people[name], "post", f"{TICKETS}/found", {"q": "VIP-NEW"})
    story.ask(Client(), "post", f"{TICKETS}/found", {})
    story.end(golden, GOLDEN / "tickets-found.txt")


def test_one_ticket_and_its_history(day: Day, admin: Client, golden: Compare) -> None:
    story = day.story
    organiser = person("olga", "organiser")
    for ticket in ("A-1", "A-2", "A-4", "A-5", "P-1", "V-2", "V-3", "Z-9", "a b"):
        story.ask(organiser, "get", f"{TICKETS}/one?event=fest&ticket={ticket}")
    story.ask(organiser, "get", f"{TICKETS}/one?event=default&ticket=D-1")
    for name, client in (("gate", person("gus", "gate")), ("auditor", person("aud", "auditor")), ("", admin)):
        story.say(f"{name or 'superuser'}:")
        for ticket in ("A-1", "V-1"):
            story.ask(client, "get", f"{TICKETS}/one?event=fest&ticket={ticket}")
    story.end(golden, GOLDEN / "tickets-one.txt")


FORM = {
    "slug": "fest",
    "name": "Harbour Fest",
    "zone": "Europe/Berlin",
    "doors": "2026-06-05T20:00",
    "product": ["Adult", "VIP", "Parking", "", "Camping"],
    "admits": ["0", "1", "4"],
}


def test_events_and_their_form(day: Day, admin: Client, golden: Compare) -> None:
    story = day.story
    organiser, auditor = person("olga", "organiser"), person("aud", "auditor")
    story.part("The list, and the event by its lists")
    for query in (
        "",
        "?slug=fest",
        "?slug=fest&list=vip",
        "?slug=fest&list=gone",
        "?slug=default",
        "?slug=a b",
    ):
        story.ask(organiser, "get", EVENTS + query)
    story.ask(auditor, "get", f"{EVENTS}?slug=fest&list=dinner")
    story.part("The form")
    story.ask(auditor, "post", EVENTS, FORM)
    story.ask(organiser, "post", EVENTS, FORM)
    place = organiser.get(f"{EVENTS}?slug=fest").context["form"].as_of
    for changed in (
        {"as_of": "1.0"},
        {"slug": "a b"},
        {"product": ["VIP", "VIP"]},
        {"zone": "Mars/North"},
        {"doors": "soon"},
        {"doors": "2026-03-29T02:30"},
        {"doors": "1960-01-01T00:00"},
        {},
    ):
        story.ask(organiser, "post", f"{EVENTS}?slug=fest", {**FORM, "as_of": place, **changed})
    story.ask(organiser, "get", f"{EVENTS}?saved=fest")
    story.ask(organiser, "get", f"{EVENTS}?slug=fest&list=ferry")
    story.ask(organiser, "post", EVENTS, {"slug": "gala", "ids_are_codes": "on", "product": ["", "Seat"]})
    story.ask(organiser, "get", f"{EVENTS}?saved=gala&list_saved=vip&taken=a b")
    story.end(golden, GOLDEN / "events.txt")


VIP = {
    "list": "late",
    "name": "Late bar",
    "takes": "some",
    "product": ["VIP", "Adult"],
    "opens": "2026-06-05T23:00",
    "closes": "2026-06-06T03:00",
    "rule": "times",
    "times": "3",
    "returns": "on",
    "capacity": "120",
}


def test_the_form_of_a_list_interventions_and_the_gate(day: Day, admin: Client, golden: Compare) -> None:
    story = day.story
    organiser, gate = person("olga", "organiser"), person("gus", "gate")
    address = f"{EVENTS}/list?slug=fest"
    story.part("The form of a list")
    story.ask(gate, "get", address)
    for query in ("", "&list=vip", "&list=main", "&list=dinner", "&list=none"):
        story.ask(organiser, "get", address + query)
    place = organiser.get(address).context["form"].as_of
    wrong: list[dict[str, Any]] = [
        {"list": "v ip"},
        {"list": "vip"},
        {"name": "x" * 129},
        {"product": []},
        {"rule": "often"},
        {"times": "0"},
        {"times": "many"},
        {"capacity": "-1"},
        {"opens": "later"},
        {"closes": "2026-06-05T22:00"},
        {"as_of": "1.0"},
        {},
    ]
    for changed in wrong:
        story.ask(organiser, "post", address, {**VIP, "as_of": place, **changed})
    place = organiser.get(address).context["form"].as_of
    story.ask(organiser, "post", f"{address}&list=dinner", {"rule": "daily", "takes": "all", "as_of": place})
    place = organiser.get(address).context["form"].as_of
    story.ask(organiser, "post", f"{address}&list=ferry", {"take_away": "on", "as_of": place})
    place = organiser.get(address).context["form"].as_of
    story.ask(
        organiser, "post", f"{address}&list=main", {"rule": "daily", "exit_first": "on", "as_of": place}
    )
    story.ask(organiser, "get", f"{EVENTS}?slug=fest&list=ferry")
    story.part("Interventions")
    for query in ("?event=fest", "?event=default", "?event=none", ""):
        story.ask(organiser, "get", f"{EVENTS}/interventions{query}")
    story.ask(gate, "get", f"{EVENTS}/interventions?event=fest")
    story.part("The gate's page")
    for client in (
        organiser,
        person("door", "gate", "list:vip", "product:VIP"),
        person("aud", "auditor"),
        admin,
    ):
        story.ask(client, "get", "/gate/")
    story.end(golden, GOLDEN / "lists-and-gate.txt")


def test_downloads(day: Day, admin: Client, golden: Compare) -> None:
    story = day.story
    for kind in KINDS:
        story.part(f"{kind} of an event with codes; of all without, as JSON; as a workbook")
        story.say(b"".join(write_chunks(open_table(kind, "fest", codes=True), "csv")).decode())
        story.lines += (
            b"".join(write_chunks(open_table(kind, None, codes=False), "json")).decode().split("\n")[:3]
        )
        book = load_workbook(
            io.BytesIO(b"".join(write_chunks(open_table(kind, "default", codes=True), "xlsx")))
        )
        for sheet in book.worksheets:
            story.say(f"sheet {sheet.title}, frozen at {sheet.freeze_panes}")
            story.say(told([list(row) for row in sheet.iter_rows(values_only=True)]))
    story.part("Who may download what")
    people = {
        "organiser": person("olga", "organiser"),
        "auditor": person("aud", "auditor"),
        "superuser": admin,
    }
    for name, client in people.items():
        story.say(f"{name}:")
        for path in (
            "admission.csv?event=fest",
            "tickets.json",
            "outcomes.xlsx",
            "nothing.csv",
            "tickets.pdf",
        ):
            story.ask(client, "get", f"{TICKETS}/export/{path}")
    story.ask(admin, "get", f"{TICKETS}/export/tickets.csv?event=a b")
    story.ask(Client(), "get", f"{TICKETS}/export/tickets.csv")
    story.end(golden, GOLDEN / "downloads.txt")


def test_a_ticket_found_by_a_person(day: Day) -> None:
    """The stories' day is played in full: no step of it is refused by a slip in the story."""
    organiser: Any = person("olga", "organiser")
    answer = organiser.post(f"{TICKETS}/found", {"event": "fest"}).json()
    assert len(answer["tickets"]) == 9
