"""Reconcile acts on what it observes: rows, slot locks and real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import DatabaseError
from django.utils import timezone
from kombu.exceptions import OperationalError

from dtvn.node.run import EXIT_UNREACHABLE
from tests.support.clock import SetClock
from tests.waiting import wait_until
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import lock_holder
from validators.models import Announcement, ManagedNode, NodePart, NodeStatus
from validators.processes.api_probes import ApiProbes
from validators.processes.reconcile import Reconciler
from validators.services import nodes

pytestmark = pytest.mark.django_db(transaction=True)  # a look closes its connection

HOLD = (
    "import sys; from pathlib import Path; from validators.data_folder.locks import SlotLock; "
    "print(SlotLock(Path(sys.argv[1])).take(), flush=True); sys.stdin.read()"
)


class Desk:
    """A reconciler, the start requests it sent, and processes that hold slots."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root)
        self.folder.create()
        self.sent: list[tuple[str, str]] = []
        self.broker_is_down = False
        self.tried = 0
        self.ending = False
        self.reconciler = Reconciler(self.folder, self.send, ending=lambda: self.ending)
        self.processes: list[subprocess.Popen[str]] = []

    def send(self, node: ManagedNode, token: str) -> None:
        self.tried += 1
        if self.broker_is_down:
            raise OperationalError("no broker")
        self.sent.append((node.node_id, token))

    def run(self, node_id: str) -> subprocess.Popen[str]:
        """A process that holds the node's slot and has claimed the last start request."""
        lock = self.folder.node_lock(node_id)
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        self.processes.append(process)
        node = ManagedNode.objects.get(pk=node_id)
        ManagedNode.objects.filter(pk=node_id).update(
            claimed_token=node.start_token,
            running_generation=node.generation,
            pid=process.pid,
            heartbeat_at=timezone.now(),
            report={"sequence": 1},
        )
        return process

    def status(self, node_id: str) -> tuple[str, str, int | None]:
        node = ManagedNode.objects.get(pk=node_id)
        return node.status, node.error, node.pid


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    nodes.register_nodes(["node0"])
    made = Desk(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


def test_a_newcomer_is_shown_as_starting_until_it_is_a_member(desk: Desk) -> None:
    ManagedNode.objects.filter(pk="node0").update(part=NodePart.JOINING)
    desk.reconciler.turn()
    process = desk.run("node0")
    desk.reconciler.turn()
    assert desk.status("node0") == (NodeStatus.STARTING, "", process.pid), "nothing can be asked of it yet"
    ManagedNode.objects.filter(pk="node0").update(part=NodePart.MEMBER)
    desk.reconciler.turn()
    assert desk.status("node0") == (NodeStatus.RUNNING, "", process.pid)
    told = Announcement.objects.filter(node_id="node0").values_list("status", flat=True)
    assert list(told) == ["starting", "running"]


def test_a_node_without_an_api_port_is_starting_with_the_reason(desk: Desk) -> None:
    desk.reconciler.turn()
    process = desk.run("node0")
    taken = "API port 9002 is in use by another program"
    ManagedNode.objects.filter(pk="node0").update(report={"sequence": 1, "api_error": taken})
    desk.reconciler.turn()
    assert desk.status("node0") == (NodeStatus.STARTING, taken, process.pid)
    ManagedNode.objects.filter(pk="node0").update(report={"sequence": 2, "api_error": ""})
    desk.reconciler.turn()
    assert desk.status("node0") == (NodeStatus.RUNNING, "", process.pid)


def test_a_dead_process_is_hidden_and_its_node_requested_again(desk: Desk) -> None:
    desk.reconciler.turn()
    process = desk.run("node0")
    desk.reconciler.turn()
    process.kill()
    process.wait()
    desk.reconciler.turn()
    desk.reconciler.turn()
    assert desk.status("node0")[2] is None
    assert [node_id for node_id, _ in desk.sent].count("node0") == 2
    node = ManagedNode.objects.get(pk="node0")
    assert (node.restarts, node.exit_reason, node.heartbeat_at, node.report) == (1, "", None, {})
    told = Announcement.objects.filter(node_id="node0").values_list("status", "error")
    assert list(told)[-2:] == [
        ("error", "its process was killed, or could not report its end"),
        ("starting", "its process was killed, or could not report its end"),
    ], "as the error that it was (X31), before it starts again"


def test_a_node_that_restarts_after_a_pause_is_announced_once_at_each_stage(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SetClock()
    monkeypatch.setattr("validators.processes.reconcile.time", SimpleNamespace(monotonic=clock.seconds))
    desk.reconciler.turn()
    for _ in range(2):
        process = desk.run("node0")
        desk.reconciler.turn()
        process.kill()
        process.wait()
        desk.reconciler.turn()
    killed = "its process was killed, or could not report its end"
    assert desk.status("node0") == (NodeStatus.ERROR, f"{killed}; restarts after a pause", None)
    before = Announcement.objects.filter(node_id="node0").count()
    clock.forward(1.5)
    desk.reconciler.turn()
    told = Announcement.objects.filter(node_id="node0").order_by("pk").values_list("status", flat=True)
    assert list(told)[before - 1 :] == ["error", "starting"]


def test_a_reason_given_between_the_two_looks_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose ledger's server is away lives for a moment only, every 5 s: taken for killed ten times,
    its node would wait for a person."""
    desk.reconciler.turn()
    process = desk.run("node0")
    desk.reconciler.turn()
    why = "ended with code 4: PostgreSQL does not answer"

    def ends_now(slot: Path) -> int | None:
        if slot == desk.folder.node_lock("node0") and process.poll() is None:
            report = {"exit_code": EXIT_UNREACHABLE}
            ManagedNode.objects.filter(pk="node0").update(pid=None, exit_reason=why, report=report)
            process.kill()
            process.wait()
        return lock_holder(slot)

    monkeypatch.setattr("validators.processes.reconcile.lock_holder", ends_now)
    desk.reconciler.turn()
    assert desk.status("node0") == (NodeStatus.ERROR, f"{why}; restarts after a pause", None)
    assert ManagedNode.objects.get(pk="node0").restarts == 0


def test_a_process_that_ends_with_the_platform_was_not_killed(desk: Desk) -> None:
    """A turn under way said so of every node, counted a restart and requested it again."""
    desk.reconciler.turn()
    process = desk.run("node0")
    desk.reconciler.turn()
    sent = len(desk.sent)
    desk.ending = True
    process.kill()
    process.wait()
    desk.reconciler.turn()
    desk.reconciler.turn()
    assert desk.status("node0") == (NodeStatus.RUNNING, "", process.pid)
    assert (ManagedNode.objects.get(pk="node0").restarts, len(desk.sent)) == (0, sent)


@pytest.mark.parametrize(
    ("wish", "stages"),
    [
        (nodes.restart_node, ["starting", "running", "stopping", "starting"]),
        (nodes.stop_node, ["starting", "running", "stopping", "stopped"]),
    ],
)
def test_a_process_that_ends_between_two_checks_is_shown_stopping(
    desk: Desk, wish: Callable[[str], object], stages: list[str]
) -> None:
    """On a busy machine `up` may not check for a second: every stage is still sent once (0106)."""
    desk.reconciler.turn()
    process = desk.run("node0")
    desk.reconciler.turn()
    wish("node0")
    process.kill()
    process.wait()
    desk.reconciler.turn()
    desk.reconciler.turn()
    assert list(Announcement.objects.filter(node_id="node0").values_list("status", flat=True)) == stages


def test_requests_the_broker_refused_are_sent_when_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("validators.processes.reconcile.SEND_PAUSE", 0.0)
    desk.broker_is_down = True
    for _ in range(5):
        desk.reconciler.turn()
    why = "the broker takes no start request: no broker"
    assert desk.status("node0") == (NodeStatus.STARTING, why, None)
    desk.broker_is_down = False
    desk.reconciler.turn()
    assert set(dict(desk.sent)) == {"node0", "learner"}
    said = [record.getMessage() for record in caplog.records if "broker" in record.getMessage()]
    assert said == [f"{why}; sent again until it does", "the broker takes start requests again"]
    told = Announcement.objects.filter(node_id="node0").order_by("pk").values_list("status", "error")
    assert list(told) == [("starting", ""), ("starting", why)], "once"


def test_a_start_that_could_not_be_written_is_requested_at_the_next_turn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: object) -> None:
        raise DatabaseError("no connection")

    with monkeypatch.context() as patched:
        patched.setattr("validators.processes.reconcile.announce", away)
        with pytest.raises(DatabaseError):
            desk.reconciler.turn()
    assert "node0" not in dict(desk.sent)
    desk.reconciler.turn()
    assert "node0" in dict(desk.sent)


def test_apis_are_asked_of_running_validators_only(desk: Desk) -> None:
    probes = ApiProbes(desk.folder)
    reconciler = Reconciler(desk.folder, desk.send, probes)
    reconciler.turn()
    assert probes.due(0.0) == [], "none runs"
    desk.run("node0")
    desk.run("learner")
    reconciler.turn()
    assert probes.due(0.0) == ["node0"], "the learner has none"


def test_an_absent_broker_is_tried_once_for_all_nodes(desk: Desk) -> None:
    desk.broker_is_down = True
    for _ in range(5):
        desk.reconciler.turn()
    assert desk.tried == 1, "one that hangs would hold up the checks of the other nodes"


def test_a_node_that_does_not_stop_is_killed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validators.processes.node_controller.STOP_PATIENCE", 0.0)
    desk.reconciler.turn()
    process = desk.run("node0")
    nodes.stop_node("node0")
    wait_until(lambda: desk.reconciler.turn() or process.poll() is not None, what="the process is killed")
    desk.reconciler.turn()
    assert desk.status("node0") == (NodeStatus.STOPPED, "", None)


def test_a_start_request_that_a_lost_worker_took_is_sent_again(desk: Desk) -> None:
    desk.reconciler.turn()
    sent = len(desk.sent)
    desk.reconciler.turn()
    assert len(desk.sent) == sent, "it is waited for"
    desk.reconciler.worker_lost(["node0", "absent"])
    desk.reconciler.turn()
    assert [name for name, _ in desk.sent[sent:]] == ["node0"]
