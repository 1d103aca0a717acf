"""Starting and stopping nodes sets their desired state; only these services write it."""

import pytest

from validators.models import Announcement, ManagedNode, NodeStatus
from validators.services import announcing, nodes
from validators.services.errors import NodeRunning, NodeUnknown

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def registered() -> None:
    nodes.register_nodes(["node0", "node1"])


def test_starting_a_running_node_is_refused() -> None:
    ManagedNode.objects.update(status=NodeStatus.RUNNING)
    with pytest.raises(NodeRunning):
        nodes.start_node("node0")
    assert ManagedNode.objects.get(node_id="node0").generation == 1


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
