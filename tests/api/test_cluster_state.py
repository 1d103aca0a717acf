"""GET /api/v1/cluster, and starting what does not run."""

from __future__ import annotations

import msgspec
import pytest
from django.db.models import F

from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from validators.models import ManagedNode, NodeStatus, PlatformAction
from validators.services import cluster_state, network, nodes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@pytest.fixture(autouse=True)
def all_run(fake: FakeGateway) -> None:
    rows = ManagedNode.objects.all()
    rows.update(status=NodeStatus.RUNNING, running_generation=F("generation"))


def test_the_state_is_a_sentence_with_its_counts(api: Api, fake: FakeGateway) -> None:
    told = read(api.get("cluster"))
    assert told["success"] is True
    assert told["data"] == {
        "sentence": "4 of 4 agree, can lose 1 more",
        "level": "ok",
        "members": 4,
        "needed": 3,
        "consensus": "pbft",
        "reachable": 4,
        "voting": 4,
        "current": 4,
        "agreeing": 4,
        "can_lose": 1,
        "liars_tolerated": 1,
        "certified": 0,
        "view": 0,
        "log_time_ahead": 0.0,
        "changing": False,
        "agreeing_members": ["r0", "r1", "r2", "r3"],
        "stopped": [],
        "under_way": None,
        "cut": "",
        "error": "",
    }


def test_a_follower_without_a_vote_counts_as_lost(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = [msgspec.structs.replace(fake.members()[0], status={"voting": False}), *fake.members()[1:]]
    monkeypatch.setattr(fake, "members", lambda: tuple(views))
    data = read(api.get("cluster"))["data"]
    assert (data["sentence"], data["level"]) == ("3 of 4 agree, can lose none", "tight")


def test_r11_where_a_liar_is_tolerated_a_restart_waits_for_no_member_by_name(
    api: Api, fake: FakeGateway
) -> None:
    fake.down = frozenset({3})
    assert cluster_state.missing_now() == []
    told = cluster_state.consequences()
    assert told["if_restarted"]["r0"].startswith("Until it runs again: No quorum: 2 of 4 reachable")
    assert "does not vote before" not in str(told)
    assert "warning" not in read(api.post("nodes/r0/restart"))


def test_two_of_four_are_said_to_be_no_quorum_wherever_it_matters(api: Api, fake: FakeGateway) -> None:
    fake.down = frozenset({2, 3})
    sentence = "No quorum: 2 of 4 reachable, 3 needed; nothing can be decided"
    assert read(api.get("cluster"))["data"]["sentence"] == sentence
    fake.quorum = False
    for answer in (
        api.post("tickets/validate", {"ticket_id": "T-1"}),
        api.get("tickets/T-1?read=linearizable"),
    ):
        refused = read(answer)
        assert refused["code"] == "unavailable"
        assert refused["error"].startswith("Nothing was sent. No quorum: ")


def test_without_a_cluster_the_state_says_so(api: Api, settings: pytest.FixtureRequest, tmp_path) -> None:
    settings.DATA = tmp_path
    network.use(None)
    data = read(api.get("cluster"))["data"]
    assert (data["sentence"], data["level"], data["members"]) == (
        "This data folder has no cluster yet",
        "none",
        0,
    )


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
