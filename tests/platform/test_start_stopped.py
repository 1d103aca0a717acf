"""Starting what does not run leaves the rest alone, and a second press sees the progress of the first."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db.models import F

from tests.platform.desk import FOUR, Desk, show, started
from validators.models import DesiredState, ManagedNode, NodeStatus
from validators.services import cluster, nodes
from validators.services.cluster import Progress
from validators.services.errors import ClusterBusy

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(tmp_path: Path) -> Desk:
    """A cluster of four, all of which run."""
    desk = Desk(tmp_path)
    started(desk)
    run(*FOUR, nodes.LEARNER_ID)
    desk.controller.turn()
    return desk


def run(*names: str) -> None:
    rows = ManagedNode.objects.filter(node_id__in=names)
    rows.update(status=NodeStatus.RUNNING, running_generation=F("generation"))


def stop(*names: str) -> None:
    for name in names:
        nodes.stop_node(name)
    show(NodeStatus.STOPPED, *names)


def generations() -> dict[str, int]:
    return dict(ManagedNode.objects.values_list("node_id", "generation"))


def test_only_stopped_and_failed_nodes_are_started(running: Desk) -> None:
    stop("node1")
    show(NodeStatus.ERROR, "node3", error="its disk is gone")
    before = generations()
    assert cluster.stopped_nodes() == ["node1", "node3"]
    begun = cluster.start_stopped()
    assert begun.nodes == ["node1", "node3"]
    after = generations()
    assert {name for name in FOUR if after[name] != before[name]} == {"node1", "node3"}
    assert set(ManagedNode.objects.values_list("desired", flat=True)) == {DesiredState.RUNNING}


def test_a_healthy_cluster_is_left_alone(running: Desk) -> None:
    before = generations()
    assert cluster.start_stopped() == cluster.Started([], None)
    assert generations() == before
    assert cluster.under_way() is None


def test_a_request_during_a_whole_start_gets_its_progress(running: Desk) -> None:
    cluster.start_cluster()
    running.controller.turn()
    show(NodeStatus.STOPPED, *FOUR, nodes.LEARNER_ID)
    running.controller.turn()
    run("node0")
    before = generations()
    assert cluster.start_stopped() == cluster.Started([], Progress("starting", 1, 4, whole=True))
    assert generations() == before
    with pytest.raises(ClusterBusy, match="already starting: 1 of 4 running"):
        cluster.start_cluster()


def test_where_nothing_runs_the_cluster_is_started_as_a_whole(running: Desk) -> None:
    cluster.stop_cluster()
    show(NodeStatus.STOPPED)
    running.controller.turn()
    running.told()
    assert cluster.start_stopped().progress == Progress("starting", 0, 4, whole=True)
    running.controller.turn()
    assert running.told() == [("starting", 0, 4)]


def test_a_stop_under_way_has_a_progress(running: Desk) -> None:
    cluster.stop_cluster()
    assert cluster.under_way() == Progress("stopping", 0, 4, whole=False)
    show(NodeStatus.STOPPED, "node2")
    assert str(cluster.under_way()) == "1 of 4 stopped"
