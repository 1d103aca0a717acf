"""A restart of all nodes goes from one to the next, and nothing stops deciding meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import F

from dtvn.node.provision import create_demo_cluster
from dtvn.protocol.quorum import Mode
from tests.platform.desk import FOUR, Desk, started
from validators.models import ClusterRequest, DesiredState, ManagedNode, NodeStatus
from validators.processes import rolling
from validators.processes.cluster_controller import ClusterController
from validators.services import cluster
from validators.services.errors import ClusterBusy

pytestmark = pytest.mark.django_db

ALL = [*FOUR, "learner"]


def back(*names: str, voting: bool = True, **said: Any) -> None:
    """These nodes run as they were asked to."""
    report = {"voting": voting, "peer_count": 3, "members": 4} | said
    rows = ManagedNode.objects.filter(node_id__in=names)
    rows.update(status=NodeStatus.RUNNING, running_generation=F("generation"), report=report)


def restarted(before: dict[str, int]) -> list[str]:
    """Whose generation is newer than before."""
    now = dict(ManagedNode.objects.values_list("node_id", "generation"))
    return [name for name in ALL if now[name] > before[name]]


@pytest.fixture
def running(desk: Desk) -> Desk:
    """Four nodes and the learner run, and the start is over."""
    started(desk)
    back(*ALL)
    desk.controller.turn()
    return desk


def asked() -> dict[str, int]:
    before = dict(ManagedNode.objects.values_list("node_id", "generation"))
    cluster.restart_one_by_one()
    assert cluster.cluster_now().requested == ClusterRequest.ROLL
    return before


def test_each_node_restarts_once_the_one_before_votes_again(running: Desk) -> None:
    before = asked()
    for number, name in enumerate(ALL):
        running.controller.turn()
        assert restarted(before) == ALL[: number + 1]
        running.controller.turn()
        assert restarted(before) == ALL[: number + 1], "it does not run yet"
        back(name, voting=False)
        running.controller.turn()
        if name != "learner":
            assert restarted(before) == ALL[: number + 1], "it does not vote yet"
        assert str(cluster.under_way()) == f"{number + 1} of 5 restarted" if number < 4 else True
        back(name)
    running.controller.turn()
    assert cluster.cluster_now().requested == ClusterRequest.NONE
    assert set(ManagedNode.objects.values_list("desired", flat=True)) == {DesiredState.RUNNING}


def test_no_node_restarts_while_those_that_vote_would_be_too_few(running: Desk) -> None:
    back("node3", voting=False)
    before = asked()
    running.controller.turn()
    assert restarted(before) == []
    back("node3")
    running.controller.turn()
    assert restarted(before) == ["node0"]


def test_members_that_others_run_count_if_ours_are_connected_to_them(running: Desk) -> None:
    """Three more members elsewhere make seven, of which five decide; two of them are away."""
    for links, expected in ((4, []), (5, ["node0"])):
        back(*FOUR, peer_count=links, members=7)
        before = dict(ManagedNode.objects.values_list("node_id", "generation"))
        rolling.step(rolling.Rolling(told=before, since=0.0), 1.0)
        assert restarted(before) == expected


def test_a_member_elsewhere_counts_only_if_each_of_ours_is_connected_to_it(running: Desk) -> None:
    back(*FOUR, peer_count=6, members=7)
    back("node2", peer_count=4, members=7)
    before = dict(ManagedNode.objects.values_list("node_id", "generation"))
    found = rolling.step(rolling.Rolling(told=before, since=0.0), rolling.TOLD_AFTER + 1)
    assert (restarted(before), found.waits) == ([], "no quorum votes without node0")


def test_a_node_that_does_not_come_back_ends_the_restart(running: Desk) -> None:
    before = asked()
    running.controller.turn()
    ManagedNode.objects.filter(node_id="node0").update(status=NodeStatus.ERROR, error="no disk")
    running.controller.turn()
    row = cluster.cluster_now()
    assert row.requested == ClusterRequest.NONE
    assert row.error == "node0: no disk; not restarted: node1, node2, node3, learner"
    assert restarted(before) == ["node0"]


def test_a_node_that_stays_without_a_vote_ends_the_restart(running: Desk) -> None:
    told = asked()
    first = rolling.Rolling(told=told, since=0.0)
    assert not rolling.step(first, 10.0).over
    back("node0", voting=False)
    assert not rolling.step(first, 10.0 + cluster.START_PATIENCE).over
    late = rolling.step(first, 11.0 + cluster.START_PATIENCE)
    assert late.over
    assert late.error.startswith("node0 does not vote again; not restarted: node1")


@pytest.fixture
def raft(running: Desk, settings: Any) -> Desk:
    """The same, of five that agree by Raft; another party runs the fifth."""
    settings.DATA = running.folder.root
    create_demo_cluster(running.folder.root, 5, "127.0.0.1", range(1, 6), consensus=Mode.RAFT)
    back(*FOUR, peer_count=4, members=5)
    return running


def said(desk: Desk) -> tuple[str, str]:
    """How far the restart is, and why it waits, once it has waited for a while."""
    if desk.controller._rolling is not None:
        desk.controller._rolling.since -= rolling.TOLD_AFTER
    desk.controller.turn()
    return str(cluster.under_way()), cluster.cluster_now().error


def test_r11_a_member_that_waits_for_others_after_its_restart_says_so(raft: Desk) -> None:
    asked()
    raft.controller.turn()
    back("node0", voting=False, peer_count=3, members=5, awaits=["node4"])
    raft.controller.turn()
    assert cluster.cluster_now().error == "", "every start asks for a moment"
    why = "node0 waits for the word of node4 about its own votes"
    assert said(raft) == (f"1 of 5 restarted; {why}", why)
    told = dict(cluster.cluster_now().told)
    late = rolling.step(rolling.Rolling(told=told, since=0.0), 1.0 + cluster.START_PATIENCE)
    assert late.error.startswith(f"{why}; not restarted: node1")


def test_a_stop_ends_a_restart_that_is_under_way(running: Desk) -> None:
    before = asked()
    running.controller.turn()
    assert running.controller.starting
    cluster.stop_cluster()
    running.controller.turn()
    assert not running.controller.starting
    assert restarted(before)[0] == "node0"
    assert set(cluster.own_members().values_list("desired", flat=True)) == {DesiredState.STOPPED}


def test_a_second_restart_is_refused_while_one_is_under_way(running: Desk) -> None:
    asked()
    with pytest.raises(ClusterBusy):
        cluster.restart_one_by_one()


def test_all_restart_at_once_where_none_can_be_spared(running: Desk) -> None:
    back("node3")
    ManagedNode.objects.filter(node_id="node3").update(status=NodeStatus.STARTING)
    cluster.restart_one_by_one()
    assert cluster.cluster_now().requested == ClusterRequest.START


def test_another_supervisor_goes_on_with_the_restart(running: Desk) -> None:
    before = asked()
    running.controller.turn()
    back("node0")
    controller = ClusterController(running.controller._folder, running.controller._found)
    for _ in ALL:
        controller.turn()
        back(*restarted(before))
    controller.turn()
    assert restarted(before) == ALL
    assert cluster.cluster_now().requested == ClusterRequest.NONE
