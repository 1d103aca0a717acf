"""/metrics of the platform: who may read it, and true values for nodes and learner."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from dtvn.gateway.entries import Entries
from dtvn.gateway.questions import MemberStatus
from tests.api.conftest import KEY, Api
from tests.fake_gateway import FakeGateway
from tests.metrics.scraping import Page
from tests.platform.test_folder import end, hold_elsewhere
from validators import own_api
from validators.dashboard import doctor
from validators.data_folder import tcp_ports
from validators.data_folder.folder import DataFolder
from validators.ledger import read
from validators.models import DesiredState, ManagedNode, NodeStatus

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

ELSEWHERE = "192.0.2.9"


def scrape(client: Client | None = None, **meta: Any) -> Page:
    response = (client or Client()).get("/metrics", **meta)
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    return Page(response.content.decode())


@pytest.mark.parametrize(
    "meta",
    [
        {"REMOTE_ADDR": ELSEWHERE},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_API_KEY": "wrong"},
        {"REMOTE_ADDR": ELSEWHERE, "HTTP_AUTHORIZATION": "Bearer wrong"},
    ],
)
def test_remote_callers_and_wrong_keys_are_refused(api: Api, meta: dict[str, str]) -> None:
    response = Client().get("/metrics", **meta)  # type: ignore[arg-type]
    assert response.status_code == 401
    assert b"dtvn_" not in response.content


def test_behind_a_proxy_no_client_is_local(api: Api, settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = True
    assert Client().get("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 401


def test_a_key_or_a_staff_session_reads_metrics_remotely(api: Api) -> None:
    scrape(REMOTE_ADDR=ELSEWHERE, HTTP_AUTHORIZATION=f"Bearer {KEY}")
    scrape(REMOTE_ADDR=ELSEWHERE, HTTP_X_API_KEY=KEY)
    visitor, staff = Client(), Client()
    visitor.force_login(User.objects.create_user("visitor"))
    staff.force_login(User.objects.create_user("auditor", is_staff=True))
    assert visitor.get("/metrics", REMOTE_ADDR=ELSEWHERE).status_code == 401
    scrape(staff, REMOTE_ADDR=ELSEWHERE)


def test_metrics_answers_get_and_head_only(api: Api) -> None:
    response = Client().post("/metrics")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert Client().head("/metrics").status_code == 200


def test_nodes_and_learner_are_shown_with_true_values(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ManagedNode.objects.filter(node_id="r0").update(
        status=NodeStatus.RUNNING,
        desired=DesiredState.RUNNING,
        restarts=3,
        heartbeat_at=timezone.now() - timedelta(seconds=7),
        report={"sequence": 120},
    )
    ManagedNode.objects.filter(node_id="r1").update(
        status=NodeStatus.ERROR, desired=DesiredState.RUNNING, report={"sequence": 90}
    )
    monkeypatch.setattr(read, "applied_sequence", lambda using: 100)
    page = scrape()
    assert page.value("dtvn_platform_node_up", node_id="r0") == 1
    assert page.value("dtvn_platform_node_up", node_id="r1") == 0
    assert page.value("dtvn_platform_node_status", node_id="r1", status="error") == 1
    assert page.value("dtvn_platform_node_wanted", node_id="r1") == 1
    assert page.value("dtvn_platform_node_restarts_total", node_id="r0") == 3
    age = page.value("dtvn_platform_node_heartbeat_age_seconds", node_id="r0")
    assert age is not None
    assert 7 <= age < 60
    assert page.value("dtvn_platform_learner_lag_sequences") == 20


def test_an_unreadable_copy_shows_no_lag(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(using: str) -> int:
        raise DatabaseError("no such table")

    monkeypatch.setattr(read, "applied_sequence", away)
    page = scrape()
    assert page.value("dtvn_platform_learner_lag_sequences") is None
    assert page.value("dtvn_platform_node_up", node_id="r0") == 0


def test_without_its_database_the_page_tells_which_nodes_run(
    api: Api, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.DATA = tmp_path

    def away() -> Any:
        raise DatabaseError("gone")

    folder = DataFolder(settings.DATA)
    folder.create()
    runs = hold_elsewhere(folder.node_lock("node.0"))
    folder.node_lock("node1").touch()
    monkeypatch.setattr(ManagedNode.objects, "all", away)
    try:
        page = scrape()
    finally:
        end(runs)
    assert page.value("dtvn_platform_database_up") == 0
    assert page.value("dtvn_platform_node_up", node_id="node.0") == 1
    assert page.value("dtvn_platform_node_up", node_id="node1") == 0


def test_a_node_without_a_process_is_not_up_whatever_its_row_says(
    api: Api, settings: Any, tmp_path: Path
) -> None:
    settings.DATA = tmp_path
    ManagedNode.objects.filter(node_id="r0").update(status=NodeStatus.RUNNING)
    assert scrape().value("dtvn_platform_node_up", node_id="r0") == 1, "it runs on another host"
    folder = DataFolder(settings.DATA)
    folder.create()
    folder.node_lock("r0").touch()
    assert scrape().value("dtvn_platform_node_up", node_id="r0") == 0


def test_members_as_entry_nodes_and_their_breakers_are_measured(api: Api, fake: FakeGateway) -> None:
    """r3 leaves 11 of 21 questions unanswered; six operations are submitted."""
    statuses = [MemberStatus(answered=21, round_trip=30_000_000) for _ in range(4)]
    statuses[3].answered = 10
    fake.entries.observe(statuses, 0.0)
    statuses[3].missed = 11
    fake.entries.observe(statuses, 1.0)
    assert set(api.codes("tickets", *({"ticket_id": f"T-{number}"} for number in range(6)))) == {200}
    page = scrape()
    assert [page.value("dtvn_platform_breaker_state", node_id=f"r{index}") for index in range(4)] == [
        0,
        0,
        0,
        1,
    ]
    assert page.value("dtvn_platform_entry_questions_total", node_id="r3") == 21
    assert page.value("dtvn_platform_entry_missed_total", node_id="r3") == 11
    assert page.value("dtvn_platform_entry_missed_total", node_id="r0") == 0
    assert page.value("dtvn_platform_entry_response_seconds", node_id="r0") == 0.03
    chosen = [page.value("dtvn_platform_entry_chosen_total", node_id=f"r{index}") for index in range(4)]
    assert chosen == [2, 2, 2, 0]


def test_the_doctor_reads_the_breakers_of_the_web_process(
    api: Api, fake: FakeGateway, settings: Any, tmp_path: Path
) -> None:
    statuses = [MemberStatus(missed=20) for _ in range(4)]
    fake.entries.observe(statuses, 0.0)
    page = Client().get("/metrics", REMOTE_ADDR="127.0.0.1").content
    settings.DATA = tmp_path
    assert own_api.read_breakers() == {}, "this platform was never started"
    with serving(page) as port:
        folder = DataFolder(tmp_path)
        folder.prometheus.mkdir()
        tcp_ports._write_targets(folder.prometheus / "platform.json", [{"targets": [f"127.0.0.1:{port}"]}])
        states = own_api.read_breakers()
        fake.entries = Entries(list(states), 1, random.Random(0), 0.0)
        assert doctor.breakers(fake) == dict.fromkeys(["r0", "r1", "r2", "r3"], "open")
    assert doctor.breakers(fake) == dict.fromkeys(["r0", "r1", "r2", "r3"], "closed"), "it is down"


@contextmanager
def serving(page: bytes) -> Iterator[int]:
    """The port of a server that has this page."""

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Discards the request log."""

    server = HTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()
