"""When a start is complete, and what `make down` leaves behind."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError

from dtvn.node.options import StartError
from dtvn.waiting import SAID_AFTER
from tests.platform.desk import FOUR, Desk
from tests.platform.test_folder import end, hold_elsewhere
from validators.data_folder.folder import DataFolder
from validators.models import ManagedNode, NodePart
from validators.processes import readiness
from validators.processes.follow import tell_age
from validators.processes.readiness import Reply
from validators.services import cluster, nodes

pytestmark = pytest.mark.django_db

REFUSED = Reply(reason="Nothing was sent.", answered=True)
SILENT = Reply(reason="the web process does not answer yet")


class Stop(threading.Event):
    """Set after so many looks."""

    looks = 5

    def wait(self, timeout: float | None = None) -> bool:
        """See threading.Event; no time passes."""
        self.looks -= 1
        return self.looks < 0


def waited(monkeypatch: pytest.MonkeyPatch, *replies: Reply) -> tuple[bool, list[str]]:
    """Whether the start is complete, `/ready` saying these and the last of them again, and what was said."""
    left = list(replies)
    said: list[str] = []
    monkeypatch.setattr(readiness, "ask", lambda url: left.pop(0) if len(left) > 1 else left[0])
    return readiness.wait("http://x:1", Stop(), said.append), said


def test_a_start_with_a_deliberately_stopped_cluster_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.register_nodes(FOUR)
    cluster.stop_cluster()
    cluster.reset_cluster()  # the next start
    complete, said = waited(monkeypatch, SILENT, REFUSED)
    assert complete
    assert len(said) == 1
    assert "is stopped, as requested" in said[0]
    assert "POST http://x:1/api/v1/cluster/start (body: {})" in said[0]


def test_a_failed_start_does_not_repeat_that_a_start_was_requested(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The controller told the reason; how to try again is all that is left to say."""
    nodes.register_nodes(FOUR)
    cluster.start_cluster(4)
    monkeypatch.setattr(desk.controller, "_found", refuse)
    desk.controller.turn()
    desk.controller.turn()
    assert "the cluster does not start: no room on this disk" in caplog.text
    assert waited(monkeypatch, REFUSED) == (
        True,
        [
            "start it again with POST http://x:1/api/v1/cluster/start (body: {}), "
            "or its nodes in the admin under Nodes"
        ],
    )


def refuse(names: object) -> None:
    raise StartError("no room on this disk")


def test_a_start_waits_for_the_nodes_that_should_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waited(monkeypatch, REFUSED) == (False, []), "other parties run all validators"
    nodes.register_nodes(FOUR)
    nodes.stop_node("node3")
    assert waited(monkeypatch, REFUSED) == (False, [])
    nodes.stop_node("node2")
    complete, said = waited(monkeypatch, REFUSED)
    assert complete, "no quorum can come together, and starting a node needs the key"
    assert said[0].startswith("2 of 4 nodes are stopped, as requested: start them with POST")
    for name in FOUR[:2]:
        nodes.stop_node(name)
    ManagedNode.objects.create(node_id="node4", part=NodePart.JOINING, position=4)
    assert waited(monkeypatch, REFUSED)[0], "who joins needs a cluster that runs"


def test_a_cluster_start_that_stops_nodes_first_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.register_nodes(FOUR)
    cluster.start_cluster(4)
    assert waited(monkeypatch, REFUSED) == (False, [])
    learning = waited(monkeypatch, Reply(sequence=1, answered=True))
    assert learning == (False, []), "the learner is waited for as ever"
    desk.controller.turn()
    desk.controller.turn()
    assert waited(monkeypatch, REFUSED) == (False, [])


def test_a_cluster_that_commits_is_ready_once_the_learner_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.register_nodes(FOUR)
    ManagedNode.objects.filter(role="learner").update(report={"sequence": 7})
    assert waited(monkeypatch, REFUSED, Reply(sequence=7, answered=True)) == (True, [])
    assert waited(monkeypatch, REFUSED, Reply(sequence=8, answered=True)) == (False, [])


def test_a_briefly_absent_database_does_not_end_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise OperationalError("database is locked")

    monkeypatch.setattr(readiness, "own_members", away)
    assert waited(monkeypatch, REFUSED) == (False, [])


def test_the_unready_reason_is_shown_every_10_s_despite_slow_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each answer took five seconds, and only the pauses between them were counted."""
    nodes.register_nodes(FOUR)
    now = 100.0

    def slow(url: str) -> Reply:
        nonlocal now
        now += 5.0
        return Reply(reason="node0 does not vote", answered=True)

    monkeypatch.setattr(readiness, "ask", slow)
    monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: now))
    said: list[str] = []
    assert not readiness.wait("http://x:1", Stop(), said.append)
    assert len(said) == 2
    assert said[0].startswith("not ready yet: node0 does not vote; node0 ")


def test_a_followers_terminal_tells_once_that_its_copy_is_too_old_and_once_that_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, fresh = Reply(reason="as of 61 s ago", answered=True), Reply(sequence=7, answered=True)
    left = [fresh, SILENT, old, SILENT, old, fresh, fresh]
    monkeypatch.setattr(readiness, "ask", lambda url: left.pop(0))
    stop, said = Stop(), list[str]()
    stop.looks = len(left)
    tell_age("http://x:1", stop, said.append)
    assert said == ["not ready: as of 61 s ago", "ready again"]


def down(folder: DataFolder, settings: Any) -> str:
    settings.DATA = folder.root
    out = StringIO()
    call_command("down", stdout=out)
    return out.getvalue()


def test_down_cleans_up_after_a_network_that_was_killed(tmp_path: Path, settings: Any) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    folder.credentials.write_text("{}")
    assert "no network is running" in down(folder, settings)
    assert not folder.credentials.exists()


def test_down_of_a_network_that_runs_ends_it_first(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    folder.credentials.write_text("{}")
    node = hold_elsewhere(folder.node_lock("node0"))
    monkeypatch.setattr("validators.management.commands.down.PATIENCE", SAID_AFTER + 0.5)
    try:
        assert "stopped the network" in down(folder, settings)
        assert not folder.credentials.exists()
        assert capfd.readouterr().err.startswith("waiting for nodes/node0 to end; after ")
    finally:
        end(node)


@pytest.mark.parametrize(
    ("status", "body", "sequence", "reason"),
    [
        (200, b'{"sequence": 7, "more": 1}', 7, ""),
        (200, b'{"sequence": "7"}', -1, "no sequence in the answer"),
        (200, b"[]", -1, "no sequence in the answer"),
        (503, b'{"error": "node0 does not vote"}', -1, "node0 does not vote"),
        (503, b"<html>", -1, "/ready answered 503"),
    ],
)
def test_why_a_network_is_not_ready_is_what_its_web_process_says(
    status: int, body: bytes, sequence: int, reason: str
) -> None:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ready" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        found = readiness.ask(f"http://127.0.0.1:{server.server_port}")
        thread.join()
    assert (found.sequence, found.answered) == (sequence, True)
    assert found.reason == reason or sequence >= 0


def test_a_web_process_that_is_not_there_is_said() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}"
    found = readiness.ask(url)
    assert not found.answered
    assert found.reason.startswith("the web process does not answer yet (")
