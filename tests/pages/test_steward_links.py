"""A steward's login by one link: what it opens, what it may scan, how it ends, and who may make one."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

import tickets.pages.urls
import validators.dashboard.urls
from tests.pages.learner import RealLearner
from tests.pages.test_event_lists import VIP, save
from tests.pages.test_events_page import EVENTS, FORM, text
from tests.team_keys import grant, join
from validators.ledger.models import OperationRecord
from validators.models import ApiKey, PlatformAction
from validators.rest import keys
from validators.services.teams import grant_of

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

SLUG, OTHER = "midsummer-2026", "autumn"
STEWARDS = f"/dashboard/tickets/events/stewards?slug={SLUG}"
ZONE = ZoneInfo("Europe/Stockholm")
LATER = f"{datetime.now(ZONE) + timedelta(days=1):%Y-%m-%dT%H:%M}"


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    keys.forget()


def order(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"/api/v1/tickets{path}", {"event": SLUG} | body, content_type="application/json")


@pytest.fixture
def fest(learner: RealLearner, admin: Client) -> Client:
    """An organiser of two events; the first has a list besides its main entrance, and three guests."""
    assert admin.post(EVENTS, FORM).status_code == 302
    assert save(admin, **VIP).status_code == 302
    assert admin.post(EVENTS, FORM | {"slug": OTHER, "name": "Autumn"}).status_code == 302
    for number in (1, 2, 3):
        assert order(admin, "", ticket_id=f"T-{number}", product="VIP", barcodes=[f"code-{number}"]).json()
    order(admin, "", ticket_id="A-1", event=OTHER, barcodes=["autumn-1"])
    return admin


def make(client: Client, **fields: Any) -> tuple[str, str]:
    """The address of a new link, and its secret."""
    answer = client.post(STEWARDS, {"label": "North gate", "for": "all", "ends": LATER} | fields)
    assert answer.status_code == 200, text(answer)
    address, secret = re.findall(r'value="http://testserver([^"#]*)#([^"]+)"', text(answer))[0]
    return address, secret


def opened(link: tuple[str, str]) -> Client:
    """A steward's telephone that followed the link."""
    client = Client(enforce_csrf_checks=True)
    page = text(client.get(link[0]))
    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[0]
    answer = client.post(link[0], {"key": link[1], "csrfmiddlewaretoken": token})
    assert answer.headers["Location"].startswith("/gate/")
    return client


def scan(client: Client, code: str, **fields: Any) -> tuple[int, str]:
    token = re.findall(r'data-csrf="([^"]+)"', text(client.get("/gate/")))
    answer = client.post(
        "/api/v1/tickets/admit",
        {"barcode": code, "event": SLUG, "gate": "north", "device": "web-1"} | fields,
        content_type="application/json",
        headers={"X-CSRFToken": token[0] if token else ""},
    )
    body = answer.json()
    return answer.status_code, body.get("code") or body["error"]


def test_a_link_opens_the_gate_of_its_event_and_nothing_else(fest: Client) -> None:
    steward = opened(make(fest))
    page = text(steward.get("/gate/"))
    assert SLUG in page
    assert OTHER not in page, "neither other events nor labels of others' keys"
    assert 'data-gates=""' in page, "a call that is refused would show that the login has ended"
    assert re.findall(r"<nav.*?</nav>", page, re.DOTALL)[0].count("<a ") == 1
    assert "/admin/" not in page
    for path in ("/", "/dashboard/tickets", EVENTS, "/dashboard/tickets/files", "/admin/", STEWARDS):
        asked = steward.get(path, follow=True)
        assert asked.redirect_chain[-1][0] == f"/gate/?event={SLUG}", path
    for path in ("/dashboard/snapshot", "/dashboard/gates", "/dashboard/stuck"):
        assert steward.get(path).status_code == 403, path
    assert steward.get("/dashboard/tickets/export/tickets.csv").status_code == 302
    assert steward.get("/gate/state").json().keys() == {"level", "sentence"}


def test_every_page_but_the_gate_is_closed_to_a_steward(fest: Client) -> None:
    """A page that is added later is closed too, unless it is listed here."""
    steward = opened(make(fest))
    paths = [
        f"/{each.pattern}"
        for urls in (tickets.pages.urls, validators.dashboard.urls)
        for each in urls.urlpatterns
        if "<" not in str(each.pattern)
    ]
    assert len(paths) > 15
    open_to = [path for path in paths if steward.get(path).status_code == 200]
    assert open_to == ["/gate/", "/gate/state", "/gate/link"]


def test_a_link_scans_and_looks_up_in_its_event_alone(fest: Client) -> None:
    steward = opened(make(fest))
    assert scan(steward, "code-1") == (200, "ok")
    assert scan(steward, "autumn-1", event=OTHER) == (403, "not_permitted")
    refused = steward.get(f"/api/v1/tickets?event={OTHER}")
    assert (refused.status_code, "only for the event" in refused.json()["error"]) == (403, True)
    assert steward.get("/api/v1/tickets/A-1", {"event": OTHER}).status_code == 403
    assert steward.get("/api/v1/events").status_code == 403
    token = re.findall(r'data-csrf="([^"]+)"', text(steward.get("/gate/")))[0]
    found = steward.post(
        "/api/v1/tickets/find",
        {"event": OTHER, "barcode": "autumn-1"},
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert found.status_code == 403


def test_a_link_for_a_list_scans_for_that_list_alone(fest: Client) -> None:
    link = make(fest, **{"for": "some", "list": "vip"})
    steward = opened(link)
    assert '"main": false' in text(steward.get("/gate/"))
    assert scan(steward, "code-1") == (403, "not_permitted")
    assert scan(steward, "code-1", list="vip")[1] in ("ok", "not_yet_valid", "list_not_open")


def test_scans_of_one_shared_link_are_told_apart_by_device(fest: Client) -> None:
    """S9: fifty volunteers with one link."""
    link = make(fest)
    stewards = [opened(link) for _ in range(3)]
    for number, steward in enumerate(stewards, start=1):
        assert scan(steward, f"code-{number}", device=f"web-{number}") == (200, "ok")
    history = [order(fest, "/find", barcode=f"code-{number}").json()["data"] for number in (1, 2, 3)]
    assert [one["last_entry"]["device"] for one in history] == ["web-1", "web-2", "web-3"]
    (key,) = ApiKey.objects.exclude(made_by="")
    actors = OperationRecord.objects.filter(operation="admit").values_list("actor", flat=True)
    assert set(actors) == {f"key:{key.pk}"}


def test_a_link_of_one_gate_scans_at_that_gate_whatever_it_names(fest: Client) -> None:
    form = fest.get(EVENTS, {"slug": SLUG}).context["form"]
    fest.post(f"{EVENTS}?slug={SLUG}", FORM | {"gates": "north\nsouth", "as_of": form.as_of})
    wrong = fest.post(STEWARDS, {"label": "x", "for": "all", "ends": LATER, "gate": "west"})
    assert "names no such gate" in text(wrong)
    bound, free = opened(make(fest, gate="south")), opened(make(fest))
    assert '"gates": ["south"]' in text(bound.get("/gate/"))
    for number, steward in enumerate((bound, free), start=1):
        assert scan(steward, f"code-{number}") == (200, "ok")
    history = [order(fest, "/find", barcode=f"code-{number}").json()["data"] for number in (1, 2)]
    assert [one["last_entry"]["gate"] for one in history] == ["south", "north"]


@pytest.mark.django_db(transaction=True, databases=["default", "learner"])
def test_taking_a_link_back_ends_its_sessions_at_once(fest: Client) -> None:
    link = make(fest)
    steward, other = opened(link), opened(make(fest, label="South gate"))
    assert scan(steward, "code-1") == (200, "ok")
    key = ApiKey.objects.get(label="North gate")
    told = text(fest.post(STEWARDS, {"revoke": key.pk}, follow=True))
    assert "The link “North gate” was taken back" in told
    assert scan(steward, "code-2")[0] == 401
    ended = steward.get("/gate/")
    assert (ended.status_code, "Ask the organiser for a new one" in text(ended)) == (403, True)
    assert 'type="password"' not in text(ended)
    assert steward.get("/gate/state").status_code == 401
    assert scan(other, "code-2") == (200, "ok")
    again = Client().post(link[0], {"key": link[1]})
    assert (again.status_code, "not valid any more" in text(again)) == (403, True)
    assert 'type="password"' not in text(again)


def test_a_link_ends_by_itself(fest: Client) -> None:
    steward = opened(make(fest))
    ApiKey.objects.exclude(made_by="").update(expires_at=timezone.now() - timedelta(seconds=1))
    keys.forget()
    assert scan(steward, "code-1")[0] == 401


def test_the_secret_is_shown_once_and_not_kept(fest: Client) -> None:
    _address, secret = make(fest)
    key = ApiKey.objects.exclude(made_by="").get()
    assert secret not in str(vars(key))
    assert secret not in text(fest.get(STEWARDS))
    recorded = PlatformAction.objects.values_list("action", "target")
    assert not any(secret in f"{action} {target}" for action, target in recorded)
    assert (grant_of(key.team), key.made_by) == (grant(["gate"], SLUG), "user:operator")


def test_the_page_shows_a_qr_code_and_never_stores_it(fest: Client) -> None:
    answer = fest.post(STEWARDS, {"label": "North", "for": "all", "ends": LATER})
    assert answer.headers["Cache-Control"] == "no-store"
    image = re.findall(r'src="data:image/svg\+xml[^"]*"', text(answer))
    assert len(image) == 1
    assert "only this computer reaches" not in text(answer)
    local = fest.post(
        STEWARDS, {"label": "North", "for": "all", "ends": LATER}, headers={"Host": "localhost"}
    )
    assert "only this computer reaches" in text(local)


def test_links_are_listed_with_maker_last_use_and_end(fest: Client) -> None:
    opened(make(fest, **{"for": "some", "list": "vip"}))
    row = text(fest.get(STEWARDS)).split("Links of this event")[1]
    cells = [re.sub("<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row)]
    assert cells[:4] == ["North gate", "vip", "any", "operator"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", cells[5]), "last used"
    assert cells[6:] == [LATER.replace("T", " "), "Take back"]


def test_the_default_end_is_the_morning_after_the_doors(fest: Client) -> None:
    doors = datetime.now(ZONE) + timedelta(days=9)
    form = fest.get(EVENTS, {"slug": OTHER}).context["form"]
    sent = FORM | {"slug": OTHER, "as_of": form.as_of, "doors": f"{doors:%Y-%m-%d}T22:00"}
    assert fest.post(f"{EVENTS}?slug={OTHER}", sent).status_code == 302
    page = fest.get(STEWARDS.replace(SLUG, OTHER))
    assert page.context["form"].ends == f"{doors + timedelta(days=1):%Y-%m-%d}T06:00"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"label": ""}, "Say whom or what it is for"),
        ({"label": "x" * 101}, "Say whom or what it is for"),
        ({"label": "a\x00b"}, "Say whom or what it is for"),
        ({"for": "some"}, "Tick at least one list."),
        ({"for": "some", "list": "roof"}, "The event has no such list"),
        ({"ends": ""}, "The end must be after now."),
        ({"ends": "soon"}, "The end must be a date and a time."),
        ({"ends": "2020-01-01T00:00"}, "The end must be after now."),
        ({"ends": "9999-12-31T23:59"}, "at most a year after"),
    ],
)
def test_a_wrong_field_of_a_link_is_named(fest: Client, fields: dict[str, str], said: str) -> None:
    answer = fest.post(STEWARDS, {"label": "North", "for": "all", "ends": LATER} | fields)
    assert (answer.status_code, said in text(answer)) == (400, True)
    assert not ApiKey.objects.exclude(made_by="").exists()


@pytest.mark.parametrize("number", ["x", "", "²", "9" * 40])
def test_only_links_of_this_event_are_taken_back(fest: Client, number: str) -> None:
    assert fest.post(STEWARDS, {"revoke": number}).status_code == 404
    make(fest)
    key = ApiKey.objects.exclude(made_by="").get()
    assert fest.post(STEWARDS.replace(SLUG, OTHER), {"revoke": key.pk}).status_code == 404
    assert ApiKey.objects.usable().filter(pk=key.pk).exists()


def test_only_organisers_who_may_scan_themselves_make_links(fest: Client) -> None:
    for name, groups, status in (
        ("ada", ["organiser"], 200),
        ("gus", ["gate"], 403),
        ("ole", ["operate"], 403),
        ("aud", ["auditor"], 403),
    ):
        user = User.objects.create_user(name, is_staff=True)
        join(user, *groups)
        client = Client()
        client.force_login(user)
        assert client.get(STEWARDS).status_code == status, name
        made = client.post(STEWARDS, {"label": "L", "for": "all", "ends": LATER})
        assert made.status_code == status, name
        assert ("Links for stewards" in text(client.get(EVENTS, {"slug": SLUG}))) == (status == 200)


def test_who_scans_for_some_lists_gives_away_no_others(fest: Client) -> None:
    user = User.objects.create_user("vera", is_staff=True)
    names = ("organiser", "list:vip", "product:VIP")
    join(user, *names)
    client = Client()
    client.force_login(user)
    page = text(client.get(STEWARDS))
    assert ('value="vip"' in page, 'value="main"' in page, 'value="all"' in page) == (True, False, False)
    fields = {"label": "L", "ends": LATER}
    assert client.post(STEWARDS, fields | {"for": "some", "list": "main"}).status_code == 400
    assert client.post(STEWARDS, fields | {"for": "all"}).status_code == 200
    key = ApiKey.objects.exclude(made_by="").get()
    assert (key.team.lists, key.team.products) == (["vip"], ["VIP"])


def test_a_page_of_another_site_can_log_nobody_in_by_a_link(fest: Client) -> None:
    address, secret = make(fest)
    client = Client(enforce_csrf_checks=True)
    assert client.post(address, {"key": secret}).status_code == 403
    assert client.get("/gate/").status_code == 302


def test_an_organiser_who_opens_a_link_is_told_that_it_ends_the_login(fest: Client) -> None:
    address, _secret = make(fest)
    assert "You are logged in as operator." in text(fest.get(address))
