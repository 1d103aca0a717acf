"""The page and its data: who sees them, and that nothing on them comes from anywhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from tests.fake_gateway import FakeGateway
from tests.pages.learner import RealLearner
from tests.proof.continuing import ContinuedLog, old_log
from tests.team_keys import join
from validators.dashboard import views
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


def test_an_error_of_ours_is_told_on_an_own_page(person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(views, "read_snapshot", fail)
    person.raise_request_exception = False
    answer = person.get("/dashboard/snapshot")
    assert answer.status_code == 500
    assert 'class="login"' in answer.text


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


@pytest.mark.parametrize(
    ("group", "first"), [("organiser", "Gates"), ("gate", "Gates"), ("auditor", "Nodes"), ("admin", "Nodes")]
)
def test_live_begins_with_what_the_login_is_there_for(client: Client, group: str, first: str) -> None:
    user = User.objects.create_user("somebody")
    join(user, group)
    client.force_login(user)
    titles = re.findall(r"<h2 id=\"(?:nodes|gates)-title\">(\w+)", client.get("/").content.decode())
    assert titles == sorted(["Gates", "Nodes"], key=lambda title: title != first)


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


@pytest.mark.parametrize("path", ["/dashboard/snapshot", "/dashboard/stuck"])
def test_the_snapshot_is_not_cacheable(learner: RealLearner, person: Client, path: str) -> None:
    assert person.get(path).headers["Cache-Control"] == "no-store"


def test_a_locked_database_is_a_503(person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(_events: frozenset[str] | None) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(views, "read_snapshot", locked)
    monkeypatch.setattr(views, "describe_nodes", list)
    response = person.get("/dashboard/snapshot")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"


def test_a_plain_request_to_the_socket_is_a_400(client: Client) -> None:
    assert client.get("/ws").status_code == 400


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
