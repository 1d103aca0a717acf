"""A newcomer is listed from the moment it is requested, and each stage is announced (C40)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from dtvn.net import public_key_of, read_seed
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from tests.api.conftest import Api, read
from tests.api.living import LivingGateway
from tests.api.test_newcomers import follows
from validators.dashboard.nodes import describe_nodes, members_of
from validators.membership import changes
from validators.models import Announcement, ManagedNode, MembershipChange
from validators.services import principals

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

R4 = "nodes/r4"


@pytest.fixture
def asked(town: Api, folder: ClusterFolder) -> Api:
    answer = town.post("nodes", {"node_id": "r4"})
    assert (answer.status_code, read(answer)) == (200, {"status": "starting", "node_id": "r4"})
    return town


def listed(api: Api) -> dict[str, Any]:
    return {node["id"]: node for node in read(api.get("nodes"))}


def told() -> list[tuple[str, str]]:
    return list(Announcement.objects.filter(node_id="r4").values_list("status", "error"))


def joins(folder: ClusterFolder, living: LivingGateway) -> None:
    follows(folder.node("r4"), living)
    while changes.turn():
        pass


def test_c40_a_newcomer_is_listed_before_it_is_created(asked: Api, folder: ClusterFolder) -> None:
    assert not folder.node("r4").root.exists()
    node = listed(asked)["r4"]
    assert list(listed(asked)) == ["r0", "r1", "r2", "r3", "r4"]
    assert (node["status"], node["joining"], node["external"]) == ("starting", "waiting", False)
    assert (node["is_primary"], node["is_bootstrap"], node["pid"]) == (False, False, None)
    assert read(asked.get(R4)) == node
    assert read(asked.get("status"))["nodes_count"] == 5
    assert [each["id"] for each in members_of(describe_nodes())][-1] == "r4"
    assert told() == [("starting", "")]
    for method, path in (("POST", "nodes"), ("POST", f"{R4}/start"), ("POST", f"{R4}/restart")):
        answer = asked.call(method, path, {"node_id": "r4"} if path == "nodes" else None)
        assert answer.status_code == 409, "it is under way"


def test_c40_a_newcomers_stages_are_shown_until_it_is_a_member(
    asked: Api, living: LivingGateway, folder: ClusterFolder
) -> None:
    changes.turn()
    node = listed(asked)["r4"]
    assert (node["status"], node["joining"]) == ("starting", "following")
    assert node["peer_id"] == peer_id(public_key_of(read_seed(folder.node("r4").key)))
    assert node["port"] > 0 < node["api_port"]
    assert asked.get(f"{R4}/logs").status_code == 200
    assert asked.get(f"{R4}/stats").status_code == 503
    via = asked.post("tickets/validate-via-node", {"ticket_id": "T-1", "node_id": "r4"})
    assert via.status_code == 503, "known, and not running"
    assert asked.post("nodes", {"node_id": "r4"}).status_code == 409
    follows(folder.node("r4"), living)
    changes.turn()
    assert listed(asked)["r4"]["joining"] == "ordering"
    before = living.present
    joins(folder, living)
    assert told() == [("starting", "")] * 3, "reconcile tells that it runs"
    assert "joining" not in listed(asked)["r4"]
    living.present = before  # as a process that has not met the epoch yet
    assert listed(asked)["r4"]["joining"] == "ordering", "it never disappears on its way"
    MembershipChange.objects.filter(state="done").update(epoch=0)
    assert "r4" not in listed(asked)


def test_a_change_of_an_earlier_cluster_lists_no_node(
    asked: Api, living: LivingGateway, folder: ClusterFolder
) -> None:
    before = living.present
    changes.turn()
    joins(folder, living)
    living.present = before
    assert "r4" in listed(asked)
    ManagedNode.objects.filter(node_id="r4").delete()  # as founding another cluster does
    assert list(listed(asked)) == ["r0", "r1", "r2", "r3"]


def test_a_refused_newcomer_shows_the_reason_and_is_unlisted(
    asked: Api, folder: ClusterFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes.turn()
    monkeypatch.setattr(changes, "FOLLOW_WAIT", 0.0)
    changes.turn()
    assert told()[-1] == ("error", "r4 did not fetch the log within 0 seconds.")
    assert "r4" not in listed(asked)
    assert asked.get(R4).status_code == 404


@pytest.mark.parametrize("made", [False, True])
def test_a_stopped_newcomer_is_cancelled_and_blocks_no_other(asked: Api, made: bool) -> None:
    if made:
        changes.turn()
    answer = asked.call("DELETE", R4)
    assert (answer.status_code, read(answer)) == (200, {"status": "stopping", "node_id": "r4"})
    assert changes.turn() is not None
    assert changes.turn() is None, "nothing stands behind it"
    assert "r4" not in listed(asked)
    assert asked.call("DELETE", R4).status_code == 404
    assert asked.post("nodes", {"node_id": "r4"}).status_code == 200, "and may be tried again"


def test_without_a_copy_of_the_log_it_is_listed_without_its_key(
    asked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "peer_id" not in listed(asked)["r4"], "it has none yet"
    changes.turn()
    assert listed(asked)["r4"]["peer_id"]

    def away(*arguments: object) -> object:
        raise OperationalError("no such table")

    monkeypatch.setattr(principals, "read_principals", away)
    assert listed(asked)["r4"]["status"] == "starting"
    assert "peer_id" not in listed(asked)["r4"]
