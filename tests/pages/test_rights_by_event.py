"""Two events, two organisers, stewards, a viewer, nobody: what is of the other event is refused or absent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dtvn.machine.kinds import KINDS
from tests.api.conftest import Api
from tests.pages.learner import RealLearner
from tests.team_keys import grant, join, store_key
from tickets.models import TicketHolder, TicketImport
from validators.models import Team
from validators.rest import keys
from validators.services import teams

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

OWN, OTHER = "autumn", "winter"
MARKS = ("winter", "W-1", "Hopper", "wintercode")
"""What stands only in the other event: its name, a ticket, its guest and its code."""


@pytest.fixture
def two(learner: RealLearner) -> Iterator[Api]:
    """Two events with a ticket, a guest and a scan each, and an import into each."""
    keys.forget()
    store_key("dtvn_everything", label="all")
    api = Api("dtvn_everything")
    for event, ticket, guest in ((OWN, "A-1", "Lovelace"), (OTHER, "W-1", "Hopper")):
        body = {"name": event, "products": [{"name": "Pass", "admits": True}]}
        assert api.call("PUT", f"events/{event}", body).status_code == 200
        issued = {"ticket_id": ticket, "event": event, "product": "Pass", "barcodes": [f"{event}code"]}
        assert api.post("tickets", issued).status_code == 200
        scan = {"barcode": f"{event}code", "event": event, "gate": f"{event} gate", "device": "d"}
        assert api.post("tickets/admit", scan).status_code == 200
        TicketHolder.objects.create(event=event, ticket=ticket, name=guest, order=f"{event}-1", salt=b"s")
        TicketImport.objects.create(
            file_name=f"{event}.csv",
            options={"event": event, "into": [event]},
            actor="user:root",
            state="done",
            token="t",
            heartbeat_at="2026-01-01T00:00:00Z",
        )
    yield api
    keys.forget()


def person(name: str, *rights: str) -> Client:
    user = join(User.objects.create_user(name, is_staff=True), *rights, event=OWN)
    client = Client()
    client.force_login(user)
    return client


ORGANISER = ("issue", "operate", "gate", "supervise", "addresses", "log")
PEOPLE: dict[str, tuple[str, ...]] = {
    "organiser": ORGANISER,
    "viewer": (),
    "steward": ("gate",),
    "box office": ("operate",),
}


def team_of(name: str) -> Client:
    """Somebody with these rights at OWN."""
    team = teams.team_with(grant(PEOPLE[name], OWN), name)
    user = User.objects.create_user(name.replace(" ", ""), is_staff=True)
    team.members.add(user)
    client = Client()
    client.force_login(user)
    return client


READS = (
    "/api/v1/tickets?event={}",
    "/api/v1/tickets/W-1?event={}",
    "/api/v1/tickets/W-1/certificate?event={}",
    "/api/v1/events/{}",
    "/api/v1/locks?event={}",
    "/dashboard/tickets/one?event={}&ticket=W-1",
    "/dashboard/tickets/events?slug={}",
    "/dashboard/tickets/events/list?slug={}",
    "/dashboard/tickets/events/stewards?slug={}",
    "/dashboard/tickets/events/teams?slug={}",
    "/dashboard/tickets/events/interventions?event={}",
    "/dashboard/tickets/files?event={}",
    *(
        f"/dashboard/tickets/export/{kind}.csv?event={{}}"
        for kind in ("tickets", "outcomes", "interventions", "admission")
    ),
)
"""Addresses that name an event."""
EVERYWHERE = (
    "/",
    "/dashboard/snapshot",
    "/dashboard/gates",
    "/dashboard/figures",
    "/dashboard/tickets",
    "/dashboard/tickets/events",
    "/dashboard/tickets/files",
    "/gate/",
    "/api/v1/tickets/events",
    "/admin/",
    "/admin/ledger/operationrecord/",
    "/admin/tickets/ticketholder/",
)
"""Addresses that name none, and show what is of the caller's events."""
OF_NO_EVENT = (
    "/api/v1/consensus/logs",
    "/api/v1/nodes",
    "/api/v1/evidence",
    "/api/v1/events/runs",
    "/dashboard/nodes",
    "/dashboard/metrics",
    "/dashboard/events",
    "/dashboard/simulator",
    "/dashboard/node/r0/storage",
    "/admin/ledger/operationrecord/locks/",
    "/admin/ledger/consensusentry/",
    "/admin/validators/apikey/",
    "/admin/validators/team/",
    "/admin/auth/user/",
)


def text(answer: Any) -> str:
    if answer.streaming:
        return b"".join(answer).decode()
    return str(answer.content.decode())


@pytest.mark.parametrize("who", list(PEOPLE))
def test_what_names_the_other_event_is_refused(two: Api, who: str) -> None:
    client = team_of(who)
    for address in READS:
        refused = client.get(address.format(OTHER))
        if who == "steward" and refused.status_code == 302:
            assert refused.headers["Location"].startswith(f"/gate/?event={OWN}"), address
        else:
            assert refused.status_code == 403, f"{who}: {address} gave {refused.status_code}"
        assert not any(mark in text(refused) for mark in MARKS[1:]), address
    for kind in KINDS.values():
        if kind.rest:
            body = {"event": OTHER, "ticket_id": "W-1", "barcode": "wintercode", "reason": "x"}
            path = kind.path if kind.path.startswith("/api") else f"/api/v1{kind.path}"
            refused = client.post(path, json.dumps(body), content_type="application/json")
            assert refused.status_code in (400, 403), f"{who}: {kind.name} gave {refused.status_code}"
            if refused.status_code == 400:
                assert "W-1" not in text(refused)
    batch = {"operations": [{"op": "admit", "barcode": "wintercode", "event": OTHER}]}
    answer = client.post("/api/v1/tickets/batch", json.dumps(batch), content_type="application/json")
    assert [one["status"] for one in answer.json()["data"]["results"]] == [403]


@pytest.mark.parametrize("who", list(PEOPLE))
def test_pages_and_lists_hold_nothing_of_the_other_event(two: Api, who: str) -> None:
    client = team_of(who)
    for address in EVERYWHERE:
        answer = client.get(address)
        assert answer.status_code in (200, 302, 403), address
        assert not any(mark in text(answer) for mark in MARKS), f"{who}: {address}"
    for address in OF_NO_EVENT:
        assert client.get(address).status_code in (302, 403), f"{who}: {address}"
    for sent in ({}, {"q": "hopper"}, {"q": "wintercode"}, {"q": "W-1"}):
        found = client.post("/dashboard/tickets/found", sent)
        assert found.status_code in (200, 403)
        assert not any(mark in text(found) for mark in MARKS), sent


def test_counts_are_of_the_own_event_alone(two: Api) -> None:
    client = team_of("organiser")
    snapshot = client.get("/dashboard/snapshot").json()["log"]
    assert snapshot["counts"]["CONSUMED"] == 1
    assert {event["event"] for event in snapshot["latest"]} == {OWN}
    assert [gate["gate"] for gate in client.get("/dashboard/gates").json()["gates"]] == ["autumn gate"]
    assert client.post("/dashboard/tickets/found", {}).json()["total"] == 1
    assert client.get("/api/v1/tickets/events").headers["X-Total-Count"] == "1"


def test_an_import_is_its_uploaders_and_of_those_who_may_import_there(two: Api) -> None:
    client = team_of("organiser")
    own, other = (TicketImport.objects.get(options__event=event) for event in (OWN, OTHER))
    assert client.get(f"/dashboard/tickets/files/{own.pk}").status_code == 200
    for part in ("", "/state", "/report", "/changes"):
        assert client.get(f"/dashboard/tickets/files/{other.pk}{part}").status_code == 404, part
    for part in ("answers", "choose", "confirm", "discard"):
        assert client.post(f"/dashboard/tickets/files/{other.pk}/{part}").status_code == 404, part
    assert TicketImport.objects.filter(pk=other.pk).exists()


def test_nobody_sees_anything(two: Api) -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    for address in (*(one.format(OWN) for one in READS), *EVERYWHERE, *OF_NO_EVENT):
        answer = client.get(address)
        assert not any(mark in text(answer) for mark in (*MARKS, "A-1", "Lovelace", "autumncode")), address


def test_the_superuser_sees_both(two: Api) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for address in READS:
        assert client.get(address.format(OTHER)).status_code in (200, 503), address


# --- teams of an event ------------------------------------------------------------------------------

TEAMS = f"/dashboard/tickets/events/teams?slug={OWN}"


def test_an_organiser_makes_teams_with_people_and_keys_for_the_event(two: Api) -> None:
    client = team_of("organiser")
    User.objects.create_user("stella", is_staff=True)
    assert client.post(TEAMS, {"make": "", "name": "Doors", "rights": ["gate"]}).status_code == 302
    team = Team.objects.get(name="Doors")
    assert teams.grant_of(team) == grant(["gate"], OWN)
    assert client.post(TEAMS, {"team": team.pk, "add": "stella"}).status_code == 302
    shown = client.post(TEAMS, {"team": team.pk, "key": "", "label": "north"}).content.decode()
    key = re.search(r"dtvn_[\w-]{43}", shown)
    assert key is not None
    scan = {"barcode": "autumncode", "gate": "n", "device": "d"}
    assert Api(key[0]).post("tickets/admit", scan).status_code == 409, "it is of this event, and has entered"
    assert Api(key[0]).post("tickets/admit", scan | {"event": OTHER}).status_code == 403
    page = client.get(TEAMS).content.decode()
    assert "stella" in page
    assert "north" in page
    revoke = team.keys.get().pk
    assert client.post(TEAMS, {"revoke": revoke}).status_code == 302
    assert Api(key[0]).post("tickets/admit", scan).status_code == 401


@pytest.mark.parametrize(
    ("rights", "sent"),
    [
        (("issue", "gate"), {"make": "", "name": "x", "rights": ["operate"]}),
        (("issue", "gate"), {"make": "", "name": "x", "rights": ["admin"]}),
        (ORGANISER, {"make": "", "name": "", "rights": ["gate"]}),
        (ORGANISER, {"make": "", "name": "x", "lists": ["nowhere"]}),
    ],
)
def test_an_organiser_gives_away_only_what_is_his_or_hers(
    two: Api, rights: tuple[str, ...], sent: dict[str, Any]
) -> None:
    client = person("o", *rights)
    before = Team.objects.count()
    assert client.post(TEAMS, sent).status_code == 400
    assert Team.objects.count() == before


def test_who_may_not_scan_makes_teams_that_do_not_either(two: Api) -> None:
    client = person("olga", "issue")
    assert client.post(TEAMS, {"make": "", "name": "Shop", "rights": ["issue"]}).status_code == 302
    assert client.post(TEAMS, {"make": "", "name": "Doors", "rights": ["gate"]}).status_code == 400
    assert list(Team.objects.filter(name__in=("Shop", "Doors")).values_list("name", flat=True)) == ["Shop"]


def test_a_team_that_may_do_more_is_not_joined_through_the_page(two: Api) -> None:
    client = person("olga", "issue")
    strong = teams.team_with(grant(ORGANISER, OWN), "strong")
    wide = Team.objects.get(name="organiser")
    assert client.post(TEAMS, {"team": strong.pk, "add": "olga"}).status_code == 403
    assert client.post(TEAMS, {"team": wide.pk, "add": "olga"}).status_code == 404
    assert not strong.members.exists()


def test_a_team_elsewhere_opens_no_page_of_where_one_only_scans(two: Api) -> None:
    user = join(User.objects.create_user("stella", is_staff=True), "gate", event=OTHER)
    teams.team_with(grant((), OWN), "Friends").members.add(user)
    client = Client()
    client.force_login(user)
    assert client.get(f"/dashboard/tickets/export/admission.csv?event={OTHER}").status_code == 403
    assert client.get(f"/dashboard/tickets/one?event={OTHER}&ticket=W-1").status_code == 403
    assert client.post("/dashboard/tickets/found", {}).json()["events"] == [OWN]
    assert client.get("/dashboard/snapshot").json()["log"]["counts"]["CONSUMED"] == 1
    assert f'"slug": "{OTHER}"' in client.get("/gate/").content.decode(), "it scans there"


def test_nobody_gives_away_what_only_two_teams_have_together(two: Api) -> None:
    user = User.objects.create_user("olga", is_staff=True)
    parts = grant(["issue", "gate"], OWN, products=["Day"]), grant(["gate"], OWN, ["vip"])
    for number, one in enumerate(parts):
        teams.team_with(one, f"part {number}").members.add(user)
    client = Client()
    client.force_login(user)
    link = {"label": "x", "for": "all", "ends": "2027-01-01T00:00"}
    refused = client.post(f"/dashboard/tickets/events/stewards?slug={OWN}", link)
    assert refused.status_code == 403
    assert client.post(TEAMS, {"make": "", "name": "all", "rights": ["gate"]}).status_code == 403
    assert not Team.objects.filter(name__in=("all", f"Stewards of {OWN}")).exists()


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (grant(["supervise"], OWN), grant(["gate"], OWN, ["vip"]), "force"),
        (grant(["gate"], OWN), grant(["gate", "supervise"], OWN, ["vip"]), "annul"),
    ],
)
def test_both_rights_of_an_act_hold_on_its_list(two: Api, first: Any, second: Any, kind: str) -> None:
    user = User.objects.create_user("sam", is_staff=True)
    for number, one in enumerate((first, second)):
        teams.team_with(one, f"part {number}").members.add(user)
    client = Client()
    client.force_login(user)
    body = {"event": OWN, "barcode": "autumncode", "gate": "g", "device": "d2", "reason": "x"}
    body |= {"supervised": True} if kind == "annul" else {}
    refused = client.post(f"/api/v1/tickets/{kind}", json.dumps(body), content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
