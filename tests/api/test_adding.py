"""Adding several nodes in a row: the desired state decides, not the present links (C40)."""

from __future__ import annotations

import pytest

from dtvn.node.layout import ClusterFolder
from tests.api.conftest import Api, read
from tests.api.living import LivingGateway
from tests.api.test_newcomers import follows
from validators.membership import changes
from validators.models import ChangeState, ManagedNode, MembershipChange, NodeStatus
from validators.rest import supervision
from validators.services import cluster

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

ALL = frozenset(range(5))


def listed(api: Api) -> dict[str, str]:
    return {node["id"]: node["status"] for node in read(api.get("nodes"))}


def test_c40_a_node_is_added_while_an_epoch_begins_and_every_link_is_cut(
    town: Api, living: LivingGateway
) -> None:
    living.down = ALL
    assert town.post("nodes", {"node_id": "r4"}).status_code == 200
    assert listed(town)["r4"] == "starting"


def test_c40_a_node_is_added_right_after_the_cluster_starts(town: Api, living: LivingGateway) -> None:
    living.down = ALL
    cluster.stop_cluster()
    cluster.start_existing()
    assert town.post("nodes", {"node_id": "r4"}).status_code == 200


def test_a_stopping_or_failed_cluster_accepts_no_newcomer(town: Api, living: LivingGateway) -> None:
    ManagedNode.objects.update(status=NodeStatus.ERROR)
    living.down = ALL
    assert town.post("nodes", {"node_id": "r4"}).status_code == 409, "none of it runs"
    living.down = frozenset({2, 3})  # others run those, and they are away
    cluster.stop_cluster()
    refused = town.post("nodes", {"node_id": "r4"})
    assert (refused.status_code, read(refused)["code"]) == (409, "cluster_stopped"), (
        "its links end in a moment"
    )
    living.down = frozenset({0, 1, 3})
    assert town.post("nodes", {"node_id": "r4"}).status_code == 200, "a member that others run is there"


def test_a_newcomer_shows_as_running_once_it_answers(
    town: Api, living: LivingGateway, folder: ClusterFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.post("tickets/seed")
    before = living.present
    town.post("nodes", {"node_id": "r4"})
    changes.turn()
    follows(folder.node("r4"), living)
    while changes.turn():
        pass
    ManagedNode.objects.filter(pk="r4").update(status=NodeStatus.RUNNING)
    after, living.present = living.present, before  # this process has not met the epoch yet
    assert listed(town)["r4"] == "starting"
    body = {"ticket_id": "TICKET-001", "node_id": "r4"}
    monkeypatch.setattr(supervision, "LINK_WAIT", 0.0)
    assert town.post("tickets/validate-via-node", body).status_code == 503
    monkeypatch.setattr(supervision, "LINK_WAIT", 2.0)
    looks: list[str] = []

    def meet(node_id: str) -> object:
        looks.append(node_id)
        if len(looks) > 1:
            living.present = after
        return found(node_id)

    found = supervision.find_node
    monkeypatch.setattr(supervision, "find_node", meet)
    assert town.post("tickets/validate-via-node", body).status_code == 200, "it is waited for"
    assert listed(town)["r4"] == "running"


def test_c41_a_newcomer_not_yet_created_stops_with_its_cluster(town: Api, living: LivingGateway) -> None:
    town.post("nodes", {"node_id": "r4"})
    living.quorum = False  # its key cannot be listed any more
    assert town.post("cluster/stop").status_code == 200
    assert listed(town)["r4"] == "stopped", "before anybody took it up"
    assert changes.turn() is not None
    assert MembershipChange.objects.get().state == ChangeState.CANCELLED
    assert "r4" not in listed(town)
    cluster.start_existing()
    assert town.post("nodes", {"node_id": "r4"}).status_code == 200, "and may be tried again"


def test_a_member_that_another_party_runs_is_not_started_here(town: Api, living: LivingGateway) -> None:
    ManagedNode.objects.filter(pk="r3").delete()
    refused = town.post("nodes", {"node_id": "r3"})
    assert (refused.status_code, read(refused)["code"]) == (409, "node_external")
