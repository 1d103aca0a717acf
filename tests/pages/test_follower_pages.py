"""Pages of a follower: its age on each of them, and one sentence in place of what would change something."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from dtvn.api.errors import Unavailable
from dtvn.api.locks import VERBS
from dtvn.machine.kinds import KINDS
from dtvn.node.following import keep_report
from dtvn.node.layout import ClusterFolder
from dtvn.protocol.genesis import cluster_id
from tests.host.support import make_genesis
from tests.pages.learner import RealLearner
from tickets.models import EventTimeZone
from validators.dashboard import doctor
from validators.models import ManagedNode
from validators.rest.openapi.routes import routes
from validators.services import following, network, nodes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

PAGES = (
    "/",
    "/admin/",
    "/dashboard/tickets",
    *(f"/dashboard/tickets/{name}" for name in ("events", "files")),
)
OF_MEMBERS = (
    "/gate/",
    *(f"/dashboard/{name}" for name in ("nodes", "network", "metrics", "simulator", "tickets/events/list")),
    *(f"/admin/validators/{name}/" for name in ("managednode", "memberevidence")),
    *(f"/admin/validators/membershipchange/{name}" for name in ("", "principals/", "ask/add/")),
)
"""Pages that only a platform of the members has."""
READS = {
    "/api/v1/tickets/find",
    "/api/v1/members/preview",
    "/api/v1/events/runs/1/transcript",
    "/dashboard/tickets/found",
}
"""Of all addresses outside the admin pages those at which a POST only reads."""
OWN = {"/dashboard/key", "/dashboard/leave", "/admin/login/", "/admin/password_change/"}
"""Those at which one logs in and out, and changes one's own password here."""
WRITES = {
    *(f"/api/v1/tickets{name}" for name in ("", "/batch", "/seed", "/validate-via-node")),
    *(f"/api/v1/events/{name}" for name in ("validate", "validate-sequence", "stream", "runs")),
    *(f"/api/v1/events/runs/1/{name}" for name in ("events", "end")),
    *(f"/api/v1/locks/{verb}" for verb in VERBS),
    *(f"/api/v1/simulator/{name}" for name in ("start", "stop")),
    *(f"/api/v1/cluster/{name}" for name in ("start", "stop")),
    *(f"/api/v1/nodes{name}" for name in ("", "/1/start", "/1/stop", "/1/restart")),
    *(f"/api/v1/{name}{more}" for name in ("members", "principals") for more in ("", "/1/rotate")),
    *(kind.path for kind in KINDS.values() if kind.rest),
}
"""POST routes of the API that order something, or have members judge it."""
WRITES_AT = "https://tickets.example.org"


@pytest.fixture
def follower(learner: RealLearner, settings: Any) -> None:
    """This platform only follows; its process reported three seconds ago that the copy was complete."""
    settings.FOLLOWS = {"start": "", "cluster": cluster_id(make_genesis(4)).hex(), "writes_at": WRITES_AT}
    settings.MIDDLEWARE = [django_settings.FOLLOWER_ONLY_SHOWS, *settings.MIDDLEWARE]
    network.use(None)
    nodes.register_nodes([])
    aged(3)


def aged(seconds: float | None) -> None:
    """The follower's process says that the copy is so old; None: it does not know."""
    as_of = 0 if seconds is None else int((time.time() - seconds) * 1e6)
    ManagedNode.objects.filter(node_id=nodes.LEARNER_ID).update(report={"as_of": as_of, "sequence": 7})


def shown(client: Client, page: str) -> str:
    response = client.get(page, follow=True)
    assert response.status_code == 200, page
    return response.content.decode()


@pytest.mark.usefixtures("follower")
@pytest.mark.parametrize("page", PAGES)
def test_each_page_says_how_old_it_is_and_where_to_write(admin: Client, page: str) -> None:
    text = shown(admin, page)
    assert re.search(r"A follower, as of \d+ s ago; sequence \d", text)
    assert f"change it at {WRITES_AT}" in text


@pytest.mark.usefixtures("follower")
@pytest.mark.parametrize("page", OF_MEMBERS)
def test_a_page_of_the_members_says_where_it_is(admin: Client, page: str) -> None:
    answer = admin.get(page, headers={"Accept": "text/html"})
    text = answer.content.decode()
    assert answer.status_code == 403
    assert f"see this page at {WRITES_AT}." in text
    assert re.search(r"A follower, as of \d+ s ago; sequence \d", text)
    menus = shown(admin, "/") + shown(admin, "/admin/")
    assert f'href="{page}"' not in menus


@pytest.mark.usefixtures("follower")
@pytest.mark.parametrize(
    ("seconds", "level", "ready"),
    [(3, "ok", 200), (16, "tight", 200), (61, "stuck", 503), (None, "stuck", 503)],
)
def test_the_line_is_amber_after_fifteen_seconds_and_red_after_sixty(
    admin: Client, seconds: float | None, level: str, ready: int
) -> None:
    aged(seconds)
    assert f'<p class="state {level}"' in shown(admin, "/")
    said = Client().get("/ready")
    assert said.status_code == ready
    assert ("delete keys/follower.key" in said.json().get("error", "")) == (ready == 503)
    report = doctor.examine(seconds=0)
    assert report.healthy == (level == "ok")
    assert report.sentence.startswith("Healthy" if report.healthy else "1 finding")


@pytest.mark.usefixtures("follower")
def test_a_follower_that_does_not_know_its_age_says_so(admin: Client) -> None:
    aged(None)
    assert "A follower, of unknown age" in shown(admin, "/")
    assert admin.get("/api/v1/cluster").headers["X-DTVN-Age"] == "unknown"


@pytest.mark.usefixtures("follower")
@pytest.mark.parametrize(
    "path", ["/api/v1/tickets/validate", "/api/v1/nodes", "/admin/validators/managednode/", "/files/import/"]
)
def test_what_would_change_something_is_refused_in_one_sentence(admin: Client, path: str) -> None:
    program = admin.post(path, {}, content_type="application/json")
    assert program.status_code == 403
    assert program.json()["code"] == following.CODE
    assert WRITES_AT in program.json()["error"]
    if not path.startswith("/api/"):
        page = admin.post(path, {}, headers={"Accept": "text/html"})
        assert page.status_code == 403
        assert f"change it at {WRITES_AT}." in page.content.decode()


def addresses(patterns: Any, before: str = "/") -> Iterator[str]:
    """Each address outside the admin pages' own lists, with 1 for each variable part."""
    for each in patterns:
        text = before + re.sub(r"<[^>]+>", "1", str(each.pattern))
        if isinstance(each, URLResolver):
            if not text.startswith("/admin/"):
                yield from addresses(each.url_patterns, text)
        elif isinstance(each, URLPattern) and not set(text) & set("^$(?"):
            yield text


def is_refused(client: Client, path: str) -> bool:
    answer = client.post(path, {}, content_type="application/json")
    return (
        answer.status_code == 403
        and answer.headers["Content-Type"].startswith("application/json")
        and (answer.json().get("code") == following.CODE)
    )


def test_of_each_post_route_it_is_known_whether_it_reads() -> None:
    found = {re.sub(r"\{[^}]+\}", "1", each.path) for each in routes() if "POST" in each.methods}
    assert found == WRITES | {path for path in READS if path.startswith("/api/")}


@pytest.mark.usefixtures("follower")
def test_a_post_that_only_reads_is_answered_and_each_other_one_is_refused() -> None:
    client = Client()
    found = set(addresses(get_resolver().url_patterns))
    assert found >= READS | WRITES | OWN
    assert {path for path in found if not is_refused(client, path)} == READS | OWN


def test_a_follower_lists_tickets_and_finds_them_by_code(
    operate: Callable[..., Any], request: pytest.FixtureRequest, admin: Client
) -> None:
    operate("issue T-1")
    request.getfixturevalue("follower")
    listed = admin.post("/dashboard/tickets/found", {})
    assert [each["id"] for each in listed.json()["tickets"]] == ["T-1"]
    sought = {"event": "default", "barcode": "T-1"}
    found = admin.post("/api/v1/tickets/find", sought, content_type="application/json")
    assert found.status_code in (200, 404), found.content


@pytest.mark.usefixtures("follower")
def test_a_follower_offers_nothing_that_it_would_refuse(admin: Client) -> None:
    text = shown(admin, "/dashboard/tickets")
    menu = text[text.index("<nav") : text.index("</nav>")]
    for left_out in ("/dashboard/nodes", "/dashboard/network", "/simulator", "/gate/"):
        assert f'href="{left_out}' not in menu
    assert "data-act=" not in text
    assert "data-all=" not in text
    for page in PAGES:
        assert re.findall(r".*\bImport\b.*", shown(admin, page)) == [], page
    assert admin.get("/dashboard/stuck").json()["level"] == "ok"
    assert "A follower, as of" in Client().get("/admin/login/").content.decode()


def pages_of_admin(client: Client) -> set[str]:
    """The lists of the admin that its index names, and the forms that they name to add a row or show one."""
    pages = set(re.findall(r'href="(/admin/[a-z]+/[a-z]+/)"', shown(client, "/admin/")))
    assert len(pages) >= 5
    further = re.compile(r'href="(/admin/[a-z]+/[a-z]+/(?:add|\d+/change)/)[^"]*"')
    return pages | {found for page in pages for found in further.findall(shown(client, page))}


@pytest.mark.usefixtures("follower")
def test_each_form_of_each_page_may_be_sent(operate: Callable[..., Any], admin: Client) -> None:
    EventTimeZone.objects.create(event="default", zone="Europe/Berlin")
    for page in {*PAGES, "/dashboard/tickets/events?slug=default", *pages_of_admin(admin)}:
        for form, fields in re.findall(r"(<form[^>]*>)(.*?)</form>", shown(admin, page), re.DOTALL):
            if 'method="post"' in form and 'type="submit"' in fields:
                named = re.search('action="([^"]+)"', form)
                assert not is_refused(admin, named.group(1) if named else page), (page, form)


@pytest.mark.usefixtures("follower")
def test_a_follower_asks_no_member() -> None:
    with pytest.raises(Unavailable, match="only follows"):
        network.gateway()


@pytest.mark.usefixtures("follower")
def test_without_pages_the_doctor_reads_what_the_follower_keeps(settings: Any, tmp_path: Path) -> None:
    settings.DATA, settings.FOLLOWS = tmp_path, settings.FOLLOWS | {"no_pages": True}
    ClusterFolder(tmp_path).create()
    assert not doctor.examine(seconds=0).healthy, "it said nothing yet"
    keep_report(tmp_path, {"as_of": int((time.time() - 3) * 1e6), "sequence": 7})
    assert doctor.examine(seconds=0).sentence.startswith("Healthy. A follower, as of 3 s ago")


@pytest.mark.usefixtures("learner")
def test_answers_carry_the_sequence_of_the_copy(
    operate: Callable[..., Any], request: pytest.FixtureRequest, admin: Client
) -> None:
    operate("issue T-1")
    request.getfixturevalue("follower")
    assert int(admin.get("/api/v1/cluster").headers["X-DTVN-Sequence"]) > 0


@pytest.mark.usefixtures("follower")
def test_answers_about_the_cluster_name_the_age(admin: Client) -> None:
    for path in ("/api/v1/status", "/api/v1/cluster"):
        body = admin.get(path).json()
        told = body.get("follower") or body["data"]["follower"]
        assert 3 <= told["age"] < 30
        assert told["as_of"] == pytest.approx(time.time() - told["age"], abs=5)


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "3 s"), (119, "119 s"), (300, "5 min"), (7_200, "2 h"), (400_000, "5 days")]
)
def test_ages_are_told_in_words(seconds: float, words: str) -> None:
    assert following.duration(seconds) == words
