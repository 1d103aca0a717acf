"""Starting and stopping nodes sets their desired state; only these services write it."""

import pytest
from django.db.models import F
from django.utils import timezone

from validators.data_folder.changes import change_mark
from validators.data_folder.folder import DataFolder
from validators.models import Announcement, DesiredState, ManagedNode, NodeRole, NodeStatus
from validators.services import announcing, nodes
from validators.services.errors import NodeNotRunning, NodeRunning, NodeUnknown

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def registered() -> None:
    nodes.register_nodes(["node0", "node1"])


def test_members_and_the_learner_are_registered_in_order() -> None:
    assert [(node.node_id, node.role) for node in ManagedNode.objects.all()] == [
        ("node0", NodeRole.VALIDATOR),
        ("node1", NodeRole.VALIDATOR),
        ("learner", NodeRole.LEARNER),
    ]


def test_registering_again_keeps_orders_and_forgets_old_processes() -> None:
    nodes.stop_node("node1")
    ManagedNode.objects.update(
        pid=1,
        status=NodeStatus.RUNNING,
        error="old",
        start_token="old",
        claimed_token="old",
        running_generation=F("generation"),
        exit_reason="old",
        heartbeat_at=timezone.now(),
        report={"sequence": 1},
    )
    nodes.register_nodes(["node0", "node1"])
    assert ManagedNode.objects.get(pk="node1").desired == DesiredState.STOPPED
    for node in ManagedNode.objects.all():
        assert (node.pid, node.status, node.error) == (None, NodeStatus.STOPPED, "")
        assert (node.start_token, node.claimed_token, node.running_generation) == ("", "", None)
        assert (node.exit_reason, node.heartbeat_at, node.report) == ("", None, {})


def test_only_the_nodes_that_this_platform_runs_are_registered() -> None:
    nodes.register_nodes(["a", "b", "c"], own=["c"])
    assert list(ManagedNode.objects.values_list("node_id", "position")) == [("c", 2), ("learner", 3)]


def test_stop_then_start_changes_the_desired_state_and_generation() -> None:
    stopped = nodes.stop_node("node0")
    started = nodes.start_node("node0")
    assert (stopped.desired, started.desired) == (DesiredState.STOPPED, DesiredState.RUNNING)
    assert started.generation == stopped.generation + 1


def test_starting_a_running_node_is_refused() -> None:
    ManagedNode.objects.update(status=NodeStatus.RUNNING)
    with pytest.raises(NodeRunning):
        nodes.start_node("node0")
    assert ManagedNode.objects.get(node_id="node0").generation == 1


@pytest.mark.parametrize("verb", [nodes.start_node, nodes.restart_node])
def test_starting_a_failed_node_is_a_new_generation(verb) -> None:
    ManagedNode.objects.update(status=NodeStatus.ERROR)
    assert verb("node0").generation == 2


@pytest.mark.parametrize("order", [nodes.start_node, nodes.stop_node, nodes.restart_node])
def test_an_order_is_told_to_reconcile_once_it_can_be_read(
    order, settings, tmp_path, django_capture_on_commit_callbacks
) -> None:
    settings.DATA = tmp_path
    told = DataFolder(tmp_path).desired_changes
    ManagedNode.objects.update(status=NodeStatus.ERROR)
    with django_capture_on_commit_callbacks(execute=True):
        order("node0")
        assert change_mark(told) == (0, 0), "not before"
    assert change_mark(told) != (0, 0)


@pytest.mark.parametrize("press", [nodes.start_node, nodes.restart_node])
def test_a_second_press_leaves_the_start_under_way_alone(press) -> None:
    nodes.stop_node("node0")
    first = press("node0").generation
    assert press("node0").generation == first
    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=first)
    assert nodes.restart_node("node0").generation == first + 1


def test_stopping_a_stopped_node_is_refused() -> None:
    nodes.stop_node("node0")
    with pytest.raises(NodeNotRunning):
        nodes.stop_node("node0")


@pytest.mark.parametrize("verb", [nodes.start_node, nodes.stop_node, nodes.restart_node])
def test_an_unknown_node_is_refused_by_name(verb) -> None:
    with pytest.raises(NodeUnknown, match="node9"):
        verb("node9")


def test_announcements_are_kept_in_a_bounded_number() -> None:
    Announcement.objects.bulk_create(Announcement(node_id="node1") for _ in range(2_500))
    for _ in range(100):
        announcing.announce(node_id="node2", status="running")
    kept = Announcement.objects.latest("pk").pk - Announcement.objects.earliest("pk").pk
    assert announcing.ANNOUNCEMENTS_KEPT - 1 <= kept < announcing.ANNOUNCEMENTS_KEPT + 100
