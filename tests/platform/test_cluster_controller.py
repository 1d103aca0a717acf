"""The cluster as a whole: effects of orders, failed starts, and clusters put aside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import F

from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from dtvn.node.provision import create_demo_cluster, make_newcomer
from dtvn.node.settings import FIRST_MEMBER_PORT
from dtvn.protocol.genesis import GenesisError
from tests.platform.desk import FOUR, Desk, own, show, started
from tests.support.clock import SetClock
from validators.data_folder import tcp_ports
from validators.models import ClusterRequest, DesiredState, ManagedCluster, ManagedNode, NodePart, NodeStatus
from validators.processes import cluster_controller, founding
from validators.processes.cluster_controller import ClusterController
from validators.processes.supervisor_mode import SupervisorMode
from validators.services import cluster, nodes
from validators.services.errors import ClusterBusy, ClusterSize

pytestmark = pytest.mark.django_db


def test_an_order_that_comes_while_a_start_ends_is_carried_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(desk)
    show(NodeStatus.RUNNING)

    def meanwhile() -> Any:
        monkeypatch.setattr(cluster_controller, "own_members", cluster.own_members)
        again = {"generation": F("generation") + 1, "requested": ClusterRequest.START}
        ManagedCluster.objects.update(**again, members=["node7"])
        return cluster.own_members()

    monkeypatch.setattr(cluster_controller, "own_members", meanwhile)
    desk.controller.turn()
    assert cluster.cluster_now().requested == ClusterRequest.START, "the newer one"
    desk.controller.turn()
    assert desk.controller.starting


def test_stopping_what_ran_before_is_no_part_of_the_time_to_start(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SetClock()
    monkeypatch.setattr(cluster_controller, "time", SimpleNamespace(monotonic=clock.seconds))
    nodes.register_nodes(FOUR)
    show(NodeStatus.RUNNING)
    cluster.start_cluster(4)
    desk.controller.turn()
    clock.forward(cluster.START_PATIENCE - 1)
    desk.controller.turn()
    assert desk.founded == [], "nodes still run"
    show(NodeStatus.STOPPED)
    desk.controller.turn()
    assert desk.founded == [FOUR]
    clock.forward(cluster.START_PATIENCE - 1)
    desk.controller.turn()
    assert (cluster.cluster_now().status, cluster.cluster_now().error) == ("starting", "")
    clock.forward(2)
    desk.controller.turn()
    assert cluster.cluster_now().error == "only 0 of 4 started"


def test_a_start_is_taken_whenever_none_is_under_way(desk: Desk) -> None:
    cluster.stop_cluster()
    started(desk)  # before the controller has seen the stop, which changed nothing
    show(NodeStatus.STARTING)
    desk.controller.turn()
    cluster.stop_cluster()
    cluster.start_cluster(4)  # the stop of a start that is under way, and at once another one
    desk.controller.turn()
    show(NodeStatus.STOPPED)
    desk.controller.turn()
    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=F("generation"))
    cluster.start_cluster(4)  # all run, though the controller has not seen it yet
    desk.controller.turn()
    with pytest.raises(ClusterBusy):
        cluster.start_cluster(4)
    ManagedNode.objects.update(status=NodeStatus.STOPPED)
    desk.controller.turn()
    show(NodeStatus.RUNNING)
    desk.controller.turn()
    assert cluster.cluster_now().status == "running"
    show(NodeStatus.STOPPED)
    ManagedNode.objects.update(desired=DesiredState.STOPPED)
    desk.controller.turn()
    nodes.start_node("node0")
    desk.controller.turn()
    assert cluster.cluster_now().status == "starting", "one node, wanted by somebody: no start of the cluster"
    cluster.start_cluster(4)


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (StartError("port 4001, kept for node0: in use"), "port 4001, kept for node0: in use"),
        (GenesisError("principals: 'x' names a member and a principal"), "names a member and a principal"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("id: no name of a node"), "ValueError: id"),
    ],
)
def test_x32_a_cluster_that_cannot_be_created_is_reported_and_idle(
    desk: Desk, refusal: Exception, said: str
) -> None:
    desk.refusal = refusal
    started(desk)
    now = cluster.cluster_now()
    assert (now.status, now.requested) == ("idle", ClusterRequest.NONE)
    assert said in now.error
    desk.refusal = None
    started(desk)
    assert cluster.cluster_now().status == "starting"


def test_a_briefly_absent_database_ends_no_start_but_a_refusing_one_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.refusal = OperationalError("database is locked")
    with pytest.raises(OperationalError):
        started(desk)
    desk.refusal = None
    desk.controller.turn()
    assert desk.founded == [FOUR]
    cluster.stop_cluster()
    desk.controller.turn()
    monkeypatch.setattr("validators.processes.cluster_controller.START_PATIENCE", -1.0)
    desk.refusal = OperationalError("must be owner of schema learner")
    started(desk)
    assert "must be owner" in cluster.cluster_now().error


def test_a_start_fails_only_if_there_is_no_quorum(desk: Desk) -> None:
    started(desk)
    show(NodeStatus.ERROR, "node0", error="its key is damaged")
    desk.controller.turn()
    assert cluster.cluster_now().status == "starting", "three of four are a quorum"
    show(NodeStatus.ERROR, "node1", error="so is this one")
    desk.controller.turn()
    assert cluster.cluster_now().error == "node0: its key is damaged; node1: so is this one"
    assert set(ManagedNode.objects.filter(role="validator").values_list("desired", flat=True)) == {"stopped"}
    show(NodeStatus.STOPPED)
    desk.controller.turn()
    now = cluster.cluster_now()
    assert (now.status, now.error[:5]) == ("idle", "node0")


def test_x33_a_node_stopped_during_a_start_stays_stopped(desk: Desk) -> None:
    started(desk)
    show(NodeStatus.RUNNING)
    desk.controller.turn()
    cluster.start_cluster(4)
    desk.controller.turn()  # all are to stop first
    show(NodeStatus.STOPPING)
    nodes.stop_node("node2")
    desk.controller.turn()
    assert desk.founded == [FOUR], "nobody's row is reset before it was said that it stopped"
    show(NodeStatus.STOPPED)
    desk.controller.turn()
    nodes.stop_node("node1")  # and one more, when the others are wanted again
    desk.controller.turn()
    wanted = ManagedNode.objects.filter(role="validator", desired=DesiredState.RUNNING)
    assert list(wanted.values_list("node_id", flat=True)) == ["node0", "node3"]
    show(NodeStatus.STOPPED, "node1", "node2")
    show(NodeStatus.RUNNING, "node0", "node3")
    desk.controller.turn()
    now = cluster.cluster_now()
    assert (now.status, now.started, now.requested) == ("running", 2, ClusterRequest.NONE), (
        "nobody is waited for"
    )
    cluster.start_cluster(4)
    show(NodeStatus.STOPPED)
    for _ in range(2):
        desk.controller.turn()
    assert wanted.count() == 4, "the next start is for all again"


def test_the_reason_of_a_delayed_start_is_reported_at_its_timeout(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(desk)
    monkeypatch.setattr("validators.processes.cluster_controller.START_PATIENCE", -1.0)
    show(NodeStatus.RUNNING)
    show(NodeStatus.STARTING, "node1", error="API port 9002 is in use by another program")
    for _ in range(2):
        desk.controller.turn()
        now = cluster.cluster_now()
        assert (now.status, now.started, now.error) == (
            "running",
            3,
            "node1: API port 9002 is in use by another program",
        ), "three of four are a quorum"
    show(NodeStatus.RUNNING)
    desk.controller.turn()
    assert cluster.cluster_now().error == ""
    cluster.start_cluster(4)
    desk.controller.turn()
    show(NodeStatus.STARTING, "node1", "node2", error="API port 9002 is in use by another program")
    desk.controller.turn()
    desk.controller.turn()
    show(NodeStatus.STOPPED)
    desk.controller.turn()
    assert "node2: API port 9002" in cluster.cluster_now().error
    assert cluster.cluster_now().status == "idle"


def test_make_up_keeps_the_cluster_that_it_has(desk: Desk, settings: Any) -> None:
    settings.SUPERVISOR = False
    nodes.register_nodes(FOUR)
    with pytest.raises(ClusterSize):
        cluster.start_cluster(5)
    cluster.start_cluster(4)


def changed(desk: Desk) -> bytes:
    """A cluster of one that took in a second member: what the genesis says is no longer so."""
    create_demo_cluster(
        desk.folder.root, 1, "127.0.0.1", tcp_ports.choose_ports(["node0"], first=FIRST_MEMBER_PORT)
    )
    places = ClusterFolder(desk.folder.root)
    make_newcomer(places.node("node1"), places.genesis.read_bytes())
    nodes.register_nodes(["node0", "node1"])
    desk.controller = ClusterController(
        desk.folder, lambda names: founding.found_cluster(desk.folder, names, "x:1")
    )
    return places.genesis.read_bytes()


def is_aside(desk: Desk) -> bool:
    return (desk.folder.root / founding.EARLIER).exists()


def test_a_start_with_another_size_puts_the_cluster_aside(desk: Desk) -> None:
    changed(desk)
    assert cluster.start_cluster(1) == 1
    desk.controller.turn()
    desk.controller.turn()
    assert is_aside(desk)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_an_automatic_start_never_puts_a_cluster_aside(desk: Desk, number: int) -> None:
    genesis = changed(desk)
    line = supervisor(desk, number)
    line._start_at_once(line._register())
    desk.controller.turn()
    desk.controller.turn()
    assert (is_aside(desk), ClusterFolder(desk.folder.root).genesis.read_bytes()) == (False, genesis)
    assert set(own().values_list("node_id", "desired")) == {("node0", "running"), ("node1", "running")}


def test_an_automatic_start_without_a_member_here_is_reported(desk: Desk) -> None:
    genesis = changed(desk)
    ManagedNode.objects.filter(role="validator").update(part=NodePart.LEFT)
    supervisor(desk, 4)._start_at_once(0)
    desk.controller.turn()
    desk.controller.turn()
    assert "none of the cluster's members" in cluster.cluster_now().error
    assert (is_aside(desk), ClusterFolder(desk.folder.root).genesis.read_bytes()) == (False, genesis)


def supervisor(desk: Desk, number: int) -> SupervisorMode:
    """Made, not run: it would listen and start children."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validators.processes.supervisor.Alarm", object)  # it is about signals to this process
        return SupervisorMode(desk.folder, host="127.0.0.1", port=25_000, auto_start=number)


# --- putting aside ---------------------------------------------------------------------------------


def demo(root: Path) -> ClusterFolder:
    create_demo_cluster(root, 1, "127.0.0.1", [4001])
    places = ClusterFolder(root)
    (places.node("node0").ledger / "ledger.sqlite3").write_bytes(b"tickets")
    return places


@pytest.mark.parametrize("part", range(1, len(founding.PARTS)))
def test_putting_a_cluster_aside_is_completed_after_a_crash(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    demo(desk.folder.root)
    with monkeypatch.context() as patch:
        patch.setattr(founding, "PARTS", founding.PARTS[:part])
        patch.setattr(founding, "_rename_learner_schema", crash)
        with pytest.raises(KeyboardInterrupt):
            founding.put_aside(desk.folder)
    founding.finish_putting_aside(desk.folder)
    (place,) = (desk.folder.root / founding.EARLIER).iterdir()
    assert ClusterFolder(place).genesis.exists()
    assert ClusterFolder(place).gateway_key.exists()
    assert (ClusterFolder(place).node("node0").ledger / "ledger.sqlite3").exists()
    assert not ClusterFolder(desk.folder.root).genesis.exists()
    assert not (place / founding.UNFINISHED).exists()


def crash(place: Path) -> None:
    raise KeyboardInterrupt
