"""Which page each visitor may open, and what of a guest it shows.

Users of each group, holders of keys of each scope, visitors of an open platform, and everybody before
there is a ledger; then forms that clear what was set.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.api.festival import Day
from tests.golden import Compare
from tests.pages.learner import RealLearner
from tests.pages.stories import Story
from tests.pages.test_golden_day import EVENTS, TICKETS, person, play
from tests.support.clock import SetClock
from tests.team_keys import store_key
from tickets.models import TicketHolder
from validators.rest.keys import SESSION_KEY, forget
from validators.services.api_keys import api_key_digest

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"
PAGES = (
    TICKETS,
    f"{TICKETS}/one?event=fest&ticket=A-1",
    EVENTS,
    f"{EVENTS}/list?slug=fest",
    f"{EVENTS}/interventions?event=fest",
    f"{TICKETS}/files",
    f"{TICKETS}/files/1",
    f"{TICKETS}/files/1/state",
    f"{TICKETS}/files/1/report",
    f"{TICKETS}/files/1/changes",
    f"{TICKETS}/files/2",
    f"{TICKETS}/export/tickets.csv?event=fest",
    f"{TICKETS}/export/history.csv?event=fest",
    f"{TICKETS}/export/none.csv",
    "/gate/",
)
SENT = (
    f"{TICKETS}/found",
    EVENTS,
    f"{EVENTS}/list?slug=fest",
    f"{TICKETS}/files",
    f"{TICKETS}/files/1/answers",
    f"{TICKETS}/files/1/choose",
    f"{TICKETS}/files/1/confirm",
    f"{TICKETS}/files/1/discard",
)
SCOPES = ("issue", "operate", "gate", "admin")


def holder_of_key(*scopes: str, **more: Any) -> Client:
    """Somebody who has entered a key with these scopes on the login page."""
    plain = f"dtvn_{scopes}{sorted(more)}"
    store_key(plain, label=f"key of {', '.join(scopes) or 'nothing'}", scopes=scopes, **more)
    client = Client()
    session = client.session
    session[SESSION_KEY] = api_key_digest(plain)
    session.save()
    return client


def everybody(admin: Client) -> dict[str, Client]:
    """Who looks."""
    found = {"nobody": Client(), "user": person("nora"), "superuser": admin}
    found |= {name: person(f"{name}-1", name) for name in ("organiser", "gate", "auditor")}
    found["VIP gate"] = person("vip-gate", "gate", "list:vip", "product:VIP")
    found["gate of addresses"] = person("gate-2", "gate", "addresses")
    found |= {f"key {scope}": holder_of_key(scope) for scope in SCOPES}
    found["key nothing"] = holder_of_key()
    found["key of fest"] = holder_of_key("operate", event="fest")
    return found


def statuses(story: Story, people: dict[str, Client]) -> None:
    """Who gets which answer at each page."""
    for method, paths in (("GET", PAGES), ("POST", SENT)):
        for path in paths:
            answers: dict[str, list[str]] = {}
            for name, client in people.items():
                response = client.get(path) if method == "GET" else client.post(path, {})
                where = response.headers.get("Location", "")
                size = "as a file" if "Content-Disposition" in response.headers else ""
                answers.setdefault(" ".join([str(response.status_code), size, where]), []).append(name)
                response.close()
            story.say(f"{method} {path}")
            for told, names in answers.items():
                everybody = len(names) == len(people)
                story.say(f"  {' '.join(told.split())}: {'all' if everybody else ', '.join(names)}")


def same_for(story: Story, people: dict[str, Client], tell: Callable[[Story, Client], None]) -> None:
    """What is told to whom, once for all to whom the same is told."""
    found: dict[str, list[str]] = {}
    for name, client in people.items():
        one = Story()
        tell(one, client)
        found.setdefault("\n".join(one.lines), []).append(name)
    for told, names in found.items():
        story.part(", ".join(names))
        story.lines += told.split("\n")


def of_guests(story: Story, client: Client) -> None:
    """What a visitor finds of guests."""
    for words in ("ada", "ada@example.org", "vip-new"):
        story.ask(client, "post", f"{TICKETS}/found", {"q": words})
    story.ask(client, "get", f"{TICKETS}/one?event=fest&ticket=A-1")


def upload(client: Client) -> None:
    """A file that waits for its worker."""
    file = BytesIO(b"Ticket,Name\nT-1,Ada\n")
    file.name = "guests.csv"
    client.post(f"{TICKETS}/files", {"file": file})


@pytest.fixture
def day(clock: SetClock, learner: RealLearner) -> Day:
    forget()
    found = Day(clock)
    play(found)
    TicketHolder.objects.filter(event="fest", ticket="A-1").update(
        email="ada@example.org", phone="+49 30 1", address="Kai 1, Kiel"
    )
    return found


def test_each_visitor_at_each_page(day: Day, admin: Client, golden: Compare, asked: Any) -> None:
    story = day.story
    upload(admin)
    statuses(story, everybody(admin))
    story.end(golden, GOLDEN / "visitors.txt")


def test_what_each_visitor_sees_of_a_guest(day: Day, admin: Client, golden: Compare) -> None:
    story = day.story
    same_for(story, everybody(admin), of_guests)
    story.end(golden, GOLDEN / "visitors-guests.txt")


def test_an_open_platform(day: Day, admin: Client, settings: Any, golden: Compare, asked: Any) -> None:
    upload(admin)
    settings.API_IS_OPEN = True
    story = day.story
    people = {"nobody": Client(), "a gate": person("gus", "gate"), "superuser": admin}
    statuses(story, people)
    same_for(story, people, of_guests)
    story.end(golden, GOLDEN / "visitors-open.txt")


def test_forms_that_clear_what_was_set(day: Day, admin: Client, golden: Compare) -> None:
    """Times, limits and names that are left empty stay unset when the form is sent again."""
    story = day.story
    organiser = person("olga", "organiser")
    address = f"{EVENTS}/list?slug=fest"
    for name in ("dinner", "main"):
        for _again in range(2):
            place = organiser.get(address).context["form"].as_of
            sent = {"rule": "once", "takes": "all", "opens": "", "closes": "", "capacity": "", "as_of": place}
            story.ask(organiser, "post", f"{address}&list={name}", sent)
            story.ask(organiser, "get", f"{address}&list={name}")
            day.ask("desk", "get", "events/fest")
    for _again in range(2):
        place = organiser.get(f"{EVENTS}?slug=fest").context["form"].as_of
        story.ask(
            organiser,
            "post",
            f"{EVENTS}?slug=fest",
            {"slug": "fest", "doors": "", "zone": "", "as_of": place},
        )
        story.ask(organiser, "get", f"{EVENTS}?slug=fest")
        day.ask("desk", "get", "events/fest")
    story.end(golden, GOLDEN / "forms-cleared.txt")
