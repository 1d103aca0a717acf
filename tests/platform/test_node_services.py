"""Starting and stopping nodes sets their desired state; only these services write it."""

import pytest
from django.db.models import F

from validators.models import DesiredState, ManagedNode, NodeRole, NodeStatus
from validators.services import nodes
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
        pid=1, status=NodeStatus.RUNNING, start_token="old", running_generation=F("generation")
    )
    nodes.register_nodes(["node0", "node1"])
    assert ManagedNode.objects.get(pk="node1").desired == DesiredState.STOPPED
    forgotten = ManagedNode.objects.values_list("pid", "status", "start_token", "running_generation")
    assert set(forgotten) == {(None, NodeStatus.STOPPED, "", None)}


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
