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
from tests.team_keys import store_key
from validators import own_api
from validators.dashboard import doctor
from validators.data_folder import tcp_ports
from validators.data_folder.folder import DataFolder
from validators.ledger import read
from validators.models import DesiredState, ManagedNode, NodeStatus
from validators.rest.metrics import page

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

ELSEWHERE = "192.0.2.9"
WEAK = "dtvn_a_key_that_may_not_administer"


def scrape(client: Client | None = None, **meta: Any) -> Page:
    """What Prometheus would read now, by default with the key of an administrator."""
    page.forget()
    response = (client or Client()).get("/metrics", **(meta or {"HTTP_X_API_KEY": KEY}))
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    return Page(response.content.decode())


@pytest.mark.parametrize(
    ("meta", "status"),
    [
        ({"REMOTE_ADDR": ELSEWHERE}, 401),
        ({"REMOTE_ADDR": "127.0.0.1"}, 401),
        ({"HTTP_X_API_KEY": "wrong"}, 401),
        ({"HTTP_AUTHORIZATION": "Bearer wrong"}, 401),
        ({"HTTP_X_API_KEY": WEAK}, 403),
    ],
)
def test_nobody_else_reads_the_metrics(api: Api, meta: dict[str, str], status: int) -> None:
    store_key(WEAK, label="shop", scopes=["issue", "gate"])
    response = Client().get("/metrics", **meta)  # type: ignore[arg-type]
    assert response.status_code == status
    assert b"dtvn_" not in response.content


def test_administrators_read_metrics(api: Api) -> None:
    scrape(REMOTE_ADDR=ELSEWHERE, HTTP_AUTHORIZATION=f"Bearer {KEY}")
    auditor, chief = Client(), Client()
    auditor.force_login(User.objects.create_user("auditor", is_staff=True))
    chief.force_login(User.objects.create_superuser("chief"))
    assert auditor.get("/metrics").status_code == 401
    scrape(chief, REMOTE_ADDR=ELSEWHERE)


def test_prometheus_reads_with_the_key_that_make_up_keeps(api: Api, settings: Any, tmp_path: Path) -> None:
    settings.DATA = tmp_path
    folder = DataFolder(tmp_path)
    folder.create()
    tcp_ports.keep_metrics_key(folder)
    kept = folder.metrics_key.read_text().strip()
    tcp_ports.keep_metrics_key(folder)
    assert folder.metrics_key.read_text().strip() == kept
    assert folder.metrics_key.stat().st_mode & 0o077 == 0
    scrape(REMOTE_ADDR=ELSEWHERE, HTTP_AUTHORIZATION=f"Bearer {kept}")
    assert Api(kept).get("tickets").status_code == 401, "it opens nothing else"


def test_readers_of_one_second_get_one_rendered_page(api: Api) -> None:
    """Each rendering shows the age of a node's report, to the microsecond."""
    ManagedNode.objects.filter(node_id="r0").update(heartbeat_at=timezone.now())
    page.forget()
    ages = {
        Page(api.get("/metrics").content.decode()).value(
            "dtvn_platform_node_heartbeat_age_seconds", node_id="r0"
        )
        for _ in range(3)
    }
    assert len(ages) == 1


def test_metrics_answers_get_and_head_only(api: Api) -> None:
    response = api.post("/metrics")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert api.call("HEAD", "/metrics").status_code == 200


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
    shown = scrape()
    assert shown.value("dtvn_platform_node_up", node_id="r0") == 1
    assert shown.value("dtvn_platform_node_up", node_id="r1") == 0
    assert shown.value("dtvn_platform_node_status", node_id="r1", status="error") == 1
    assert shown.value("dtvn_platform_node_wanted", node_id="r1") == 1
    assert shown.value("dtvn_platform_node_restarts_total", node_id="r0") == 3
    age = shown.value("dtvn_platform_node_heartbeat_age_seconds", node_id="r0")
    assert age is not None
    assert 7 <= age < 60
    assert shown.value("dtvn_platform_learner_lag_sequences") == 20


def test_an_unreadable_copy_shows_no_lag(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(using: str) -> int:
        raise DatabaseError("no such table")

    monkeypatch.setattr(read, "applied_sequence", away)
    shown = scrape()
    assert shown.value("dtvn_platform_learner_lag_sequences") is None
    assert shown.value("dtvn_platform_node_up", node_id="r0") == 0


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
        shown = scrape()
    finally:
        end(runs)
    assert shown.value("dtvn_platform_database_up") == 0
    assert shown.value("dtvn_platform_node_up", node_id="node.0") == 1
    assert shown.value("dtvn_platform_node_up", node_id="node1") == 0


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
    shown = scrape()
    assert [shown.value("dtvn_platform_breaker_state", node_id=f"r{index}") for index in range(4)] == [
        0,
        0,
        0,
        1,
    ]
    assert shown.value("dtvn_platform_entry_questions_total", node_id="r3") == 21
    assert shown.value("dtvn_platform_entry_missed_total", node_id="r3") == 11
    assert shown.value("dtvn_platform_entry_missed_total", node_id="r0") == 0
    assert shown.value("dtvn_platform_entry_response_seconds", node_id="r0") == 0.03
    chosen = [shown.value("dtvn_platform_entry_chosen_total", node_id=f"r{index}") for index in range(4)]
    assert chosen == [2, 2, 2, 0]


def test_the_doctor_reads_the_breakers_of_the_web_process(
    api: Api, fake: FakeGateway, settings: Any, tmp_path: Path
) -> None:
    statuses = [MemberStatus(missed=20) for _ in range(4)]
    fake.entries.observe(statuses, 0.0)
    page.forget()
    content = api.get("/metrics").content
    settings.DATA = tmp_path
    assert own_api.read_breakers() == {}, "this platform was never started"
    with serving(content) as port:
        folder = DataFolder(tmp_path)
        tcp_ports.keep_metrics_key(folder)
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
