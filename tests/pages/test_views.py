"""The page and its data: who sees them, and that nothing on them comes from anywhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from simulator.web.output import LINES_KEPT
from tests.fake_gateway import FakeGateway
from tests.pages.learner import RealLearner
from tests.proof.continuing import ContinuedLog, old_log
from validators.dashboard import views
from validators.dashboard.consumers import CLOSED_NO_ACCESS
from validators.services import network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

ROOT = Path(__file__).parents[2]
OWN_FILES = [
    path
    for folder in ("templates", "static/css", "static/js")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".html", ".css", ".js"}
]


@pytest.fixture
def person(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return client


def test_a_missing_page_gets_the_own_404_page(client: Client) -> None:
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert "This page does not exist." in response.content.decode()


def test_a_forged_form_is_refused_on_an_own_page() -> None:
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "ada", "password": "x"})
    assert answer.status_code == 403
    assert 'class="login"' in answer.text
    assert "Open its page again." in answer.text


def test_a_page_of_others_is_refused_on_an_own_page(client: Client) -> None:
    client.force_login(User.objects.create_user("clerk", password="x", is_staff=True))
    answer = client.get("/admin/auth/user/")
    assert answer.status_code == 403
    assert 'class="login"' in answer.text
    assert "Your account may not open this page." in answer.text


def test_an_error_of_ours_is_told_on_an_own_page(person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(views, "read_snapshot", fail)
    person.raise_request_exception = False
    answer = person.get("/dashboard/snapshot")
    assert answer.status_code == 500
    assert 'class="login"' in answer.text


def test_the_live_page_redirects_anonymous_clients_to_the_login(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == 302
    assert response.headers["Location"] == "/admin/login/?next=/"


def test_the_login_form_leads_back_to_the_page(client: Client) -> None:
    User.objects.create_superuser("operator", password="open sesame")
    form = client.get("/admin/login/?next=/").content.decode()
    assert 'name="next" value="/"' in form
    sent = {"username": "operator", "password": "open sesame", "next": "/"}
    assert client.post("/admin/login/?next=/", sent).headers["Location"] == "/"


def test_r11_the_cluster_page_shows_that_it_continues_another(person: Client) -> None:
    old = old_log()
    page = reverse("dashboard:nodes")
    assert "This cluster continues" not in person.get(page).content.decode()
    network.use(FakeGateway(ContinuedLog(old).genesis, principal="gateway"))
    try:
        said = f"This cluster continues {old.cluster.hex()} at sequence 10, not proved by all."
        assert said in person.get(page).content.decode()
    finally:
        network.use(None)


def test_a_wrong_password_is_reported(client: Client) -> None:
    sent = {"username": "nobody", "password": "x", "next": "/"}
    told = client.post("/admin/login/", sent).content.decode()
    assert "correct username and password" in told
    assert "Every user needs <i>Staff status</i>" in told


def test_the_page_works_before_there_is_a_cluster(person: Client) -> None:
    """`make up` may still be starting: an empty page, no error."""
    assert person.get("/").status_code == 200
    content = person.get("/dashboard/snapshot").json()
    assert (content["nodes"], content["log"]["sequence"]) == ([], 0)


def test_a_snapshot_holds_log_nodes_and_clock(
    learner: RealLearner, operate: Callable[..., Any], person: Client
) -> None:
    operate("issue T-1", "validate T-1")
    content = person.get("/dashboard/snapshot").json()
    assert content["log"]["sequence"] == 2
    assert content["log"]["counts"]["VALIDATED"] == 1
    assert len(content["nodes"]) == 5
    assert content["state"]["sentence"] == "4 of 4 agree, can lose 1 more"
    assert content["state"]["if_stopped"]["r0"] == "3 of 4 agree, can lose none"


def test_a_restart_of_all_says_when_it_gives_up(learner: RealLearner, person: Client) -> None:
    """Its stop and its start have a minute and a half each."""
    told = person.get("/dashboard/snapshot").json()["state"]["if_all_restarted"]
    assert told.endswith("usually 5 to 15 seconds; if no quorum runs after 3 minutes, all stay stopped")


@pytest.mark.parametrize("path", ["/dashboard/snapshot", "/dashboard/stuck"])
def test_the_snapshot_requires_a_login(client: Client, path: str) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/dashboard/snapshot", "/dashboard/stuck"])
def test_the_snapshot_is_not_cacheable(learner: RealLearner, person: Client, path: str) -> None:
    assert person.get(path).headers["Cache-Control"] == "no-store"


def test_a_locked_database_is_a_503(person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked() -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(views, "read_snapshot", locked)
    monkeypatch.setattr(views, "describe_nodes", list)
    response = person.get("/dashboard/snapshot")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"


def test_a_plain_request_to_the_socket_is_a_400(client: Client) -> None:
    assert client.get("/ws").status_code == 400


def test_the_content_security_policy_allows_only_our_own_origin(person: Client) -> None:
    response = person.get("/")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    page = response.content.decode()
    page = re.sub(r'<script id="\w+" type="application/json">', "", page)  # data, which is never run
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:", page)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", OWN_FILES, ids=named)
def test_our_files_name_no_other_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [
        url for url in re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]+[^\s\"')]*", text) if "w3.org" not in url
    ] == []


@pytest.mark.parametrize(
    "path",
    [path for path in OWN_FILES if path.suffix == ".html"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_our_templates_hold_no_inline_script_or_style(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text)


def test_the_pages_hand_the_server_s_constants_to_the_scripts(person: Client) -> None:
    page = person.get(reverse("simulator")).content.decode()
    assert f'data-closed-no-access="{CLOSED_NO_ACCESS}"' in page
    assert f'data-lines-kept="{LINES_KEPT}"' in page
