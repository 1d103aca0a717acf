"""Orders in quick succession: the newest counts, whether or not the controller saw earlier ones."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import F

from dtvn.node.provision import create_demo_cluster
from tests.platform.desk import FOUR, Desk, own, show, started
from validators.models import DesiredState, ManagedNode, NodeStatus
from validators.processes import founding
from validators.processes.cluster_controller import ClusterController
from validators.services import cluster, nodes

pytestmark = pytest.mark.django_db


def test_x33_a_node_order_right_after_a_cluster_order_is_kept(desk: Desk) -> None:
    """Before the controller has seen the cluster's: the newer one counts."""
    started(desk)
    show(NodeStatus.RUNNING)
    desk.controller.turn()
    wanted = own().filter(desired=DesiredState.RUNNING).values_list("node_id", flat=True)
    cluster.stop_cluster()
    assert list(wanted.all()) == []
    nodes.start_node("node2")
    desk.controller.turn()
    assert list(wanted.all()) == ["node2"]
    cluster.start_cluster(4)
    nodes.stop_node("node1")
    show(NodeStatus.STOPPED)
    for _ in range(2):
        desk.controller.turn()
    assert list(wanted.all()) == ["node0", "node2", "node3"]


def test_a_stop_while_a_start_creates_the_cluster_overrides_it(desk: Desk) -> None:
    found = desk.found

    def slowly(names: Any) -> None:
        found(names)
        cluster.stop_cluster()

    desk.controller = ClusterController(desk.folder, slowly)
    started(desk)
    assert set(own().values_list("desired", flat=True)) == {DesiredState.STOPPED}
    desk.controller.turn()
    assert desk.told()[-1] == ("idle", 0, 4)


def test_x32_a_stop_before_new_nodes_have_rows_is_not_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_meanwhile(*given: Any, **named: Any) -> None:
        create_demo_cluster(*given, **named)
        cluster.stop_cluster()

    monkeypatch.setattr(founding, "create_demo_cluster", stopped_meanwhile)
    desk.controller = ClusterController(
        desk.folder, lambda names: founding.found_cluster(desk.folder, names, "x:1")
    )
    started(desk)
    desk.controller.turn()
    assert dict(own().values_list("node_id", "desired")) == dict.fromkeys(FOUR, DesiredState.STOPPED)
    assert [status for status, _, _ in desk.told()] == ["starting", "idle"]
    cluster.start_cluster(4)
    for _ in range(2):
        desk.controller.turn()
    assert dict(own().values_list("node_id", "desired")) == dict.fromkeys(FOUR, DesiredState.RUNNING)


def test_a_cluster_is_not_put_aside_while_a_process_of_it_lives(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.register_nodes(FOUR)
    monkeypatch.setattr("validators.processes.cluster_controller.START_PATIENCE", -1.0)
    monkeypatch.setattr("validators.processes.cluster_controller.lock_holder", lambda lock: 1)
    cluster.start_cluster(5)
    for _ in range(2):
        desk.controller.turn()
    assert desk.founded == []
    assert "still runs" in cluster.cluster_now().error


def test_c40_all_nodes_of_a_cluster_of_another_size_are_started(desk: Desk) -> None:
    """Rows of the same names are made anew, and are no orders of a person."""
    desk.controller = ClusterController(
        desk.folder, lambda names: founding.found_cluster(desk.folder, names, "x:1")
    )
    started(desk)
    own().update(status=NodeStatus.RUNNING, running_generation=F("generation"))
    assert nodes.restart_node("node0").generation > own().get(node_id="node1").generation
    desk.controller.turn()
    cluster.start_cluster(2)
    desk.controller.turn()
    show(NodeStatus.STOPPED)
    desk.controller.turn()
    wanted = ManagedNode.objects.filter(desired=DesiredState.RUNNING).values_list("node_id", flat=True)
    assert list(wanted) == ["node0", "node1", "learner"]
