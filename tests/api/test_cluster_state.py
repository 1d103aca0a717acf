"""GET /api/v1/cluster, and starting what does not run."""

from __future__ import annotations

import pytest
from django.db.models import F

from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from validators.models import ManagedNode, NodeStatus, PlatformAction
from validators.services import cluster_state, nodes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@pytest.fixture(autouse=True)
def all_run(fake: FakeGateway) -> None:
    rows = ManagedNode.objects.all()
    rows.update(status=NodeStatus.RUNNING, running_generation=F("generation"))


def test_r11_where_a_liar_is_tolerated_a_restart_waits_for_no_member_by_name(
    api: Api, fake: FakeGateway
) -> None:
    fake.down = frozenset({3})
    assert cluster_state.missing_now() == []
    told = cluster_state.consequences()
    assert told["if_restarted"]["r0"].startswith("Until it runs again: No quorum: 2 of 4 reachable")
    assert "does not vote before" not in str(told)
    assert "warning" not in read(api.post("nodes/r0/restart"))


def test_only_stopped_nodes_are_started_and_a_second_call_sees_it(api: Api) -> None:
    nodes.stop_node("r1")
    ManagedNode.objects.filter(pk="r1").update(status=NodeStatus.STOPPED)
    assert read(api.get("cluster"))["data"]["stopped"] == ["r1"]
    progress = {"verb": "starting", "done": 3, "total": 4, "whole": False, "text": "3 of 4 running"}
    first = read(api.post("cluster/start", {"only_stopped": True}))
    assert first == {"status": "starting", "node_count": 4, "started": ["r1"], "progress": progress}
    second = read(api.post("cluster/start", {"only_stopped": True}))
    assert second == first | {"started": []}
    assert read(api.get("cluster"))["data"]["under_way"] == progress
    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=F("generation"))
    recorded = PlatformAction.objects.filter(action="POST /api/v1/cluster/start")
    assert set(recorded.values_list("target", flat=True)) == {"stopped nodes"}
    done = read(api.post("cluster/start", {"only_stopped": True}))
    assert done == {"status": "running", "node_count": 4, "started": [], "progress": None}
    api.post("cluster/start", {})
    assert "all nodes" in recorded.values_list("target", flat=True), "another act than the one above"
