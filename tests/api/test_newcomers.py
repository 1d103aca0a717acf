"""A member that this platform creates and runs: from request to membership, without processes (R36)."""

from __future__ import annotations

import json

import msgspec
import pytest

from dtvn.files.whole import write_private
from dtvn.net import ensure_seed, public_key_of, read_seed
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.non_member import liveness_proof
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.versions import NEWEST
from tests.api.conftest import Api, read
from tests.api.living import LivingGateway
from validators.membership import ChangeRequest, changes, newcomers
from validators.models import DesiredState, ManagedNode, MembershipChange, NodePart, NodeRole, NodeStatus
from validators.services import principals

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def follows(node: NodeFolder, living: LivingGateway, *, behind: int = 0) -> None:
    """The newcomer's process leaves a liveness proof."""
    seed, cluster = read_seed(node.key), g.cluster_id(living.genesis)
    executed = max(living.acknowledged - behind, 0)
    word = liveness_proof(cluster, living.present.epoch, node.id, executed, seed, newest=NEWEST)
    write_private(node.liveness_proof, canonical.encode_trimmed(word), replace=True)


def row_of(node_id: str) -> tuple[str, str]:
    row = ManagedNode.objects.get(pk=node_id)
    return row.part, row.desired


def caught_up(living: LivingGateway) -> bool:
    """Whether r4 has caught up, by its newest proof."""
    asked = ChangeRequest(change="add", node_id="r4")
    proof = newcomers.proof_of(asked, living)
    assert proof is not None
    return newcomers.caught_up(asked, proof, living)


def test_a_newcomer_gets_key_and_ports_and_follows_before_it_votes(
    town: Api, living: LivingGateway, folder: ClusterFolder
) -> None:
    asked = town.post("members", {"node_id": "r4"})
    assert asked.status_code == 202, asked.content
    assert read(asked)["data"]["state"] == "following"
    (joining,) = read(town.get("members"))["data"]["joining"]
    assert (joining["id"], joining["sequence"]) == ("r4", 0)
    node = folder.node("r4")
    assert oct(node.key.stat().st_mode & 0o777) == "0o600"
    assert row_of("r4") == (NodePart.JOINING, DesiredState.RUNNING)
    places = ManagedNode.objects.filter(role=NodeRole.VALIDATOR).values_list("node_id", "position")
    assert dict(places) == {"r0": 0, "r1": 1, "r4": 2}, "behind the others of this platform"
    listed = {each.name: each for each in principals.list_principals()}
    assert listed["r4"].public_key == public_key_of(read_seed(node.key))
    assert listed["r4"].grants == ()
    assert "admin" in {grant.capability for grant in listed["api-r4"].grants}
    targets = json.loads((folder.root / "prometheus" / "nodes.json").read_text())
    assert [each["labels"]["node"] for each in targets] == ["r4"]
    # Neither without a word, nor far behind, nor with a word of another epoch or key is it ordered.
    for _ in range(3):
        changes.turn()
    assert living.present.epoch == 0
    words = [
        liveness_proof(g.cluster_id(living.genesis), 7, "r4", living.acknowledged, read_seed(node.key)),
        liveness_proof(g.cluster_id(living.genesis), 0, "r4", living.acknowledged, b"x" * 32),
    ]
    for word in words:
        write_private(node.liveness_proof, canonical.encode_trimmed(word), replace=True)
        changes.turn()
        assert MembershipChange.objects.get().state == "following"
    follows(node, living)
    while changes.turn():
        pass
    assert MembershipChange.objects.get().state == "done", MembershipChange.objects.get().sentence
    assert row_of("r4") == (NodePart.MEMBER, DesiredState.RUNNING)
    assert read(town.get("members"))["data"]["joining"] == []
    assert [member.id for member in living.present.members] == ["r0", "r1", "r2", "r3", "r4"]
    assert living.present.members[4].public_key == public_key_of(read_seed(node.key))


HOUR = 3_600_000_000


def test_a_member_of_another_party_joins_without_a_pasted_word(town: Api, living: LivingGateway) -> None:
    """Its node announces liveness proofs to the members, which the platform asks for them."""
    seed = b"n" * 32
    key = public_key_of(seed)
    place = {"host": "n5.example", "port": 4001}
    asked = town.post("members", {"node_id": "n5", "peer_id": peer_id(key), **place})
    assert asked.status_code == 202, asked.content
    assert read(asked)["data"]["state"] == "following"
    listed = {each.name: each for each in principals.list_principals()}
    assert (listed["n5"].public_key, listed["n5"].grants) == (key, ())
    changes.turn()
    assert MembershipChange.objects.get().state == "following"
    cluster = g.cluster_id(living.genesis)
    living.announced["n5"] = liveness_proof(cluster, 0, "n5", living.acknowledged, b"x" * 32)
    changes.turn()
    assert MembershipChange.objects.get().state == "following", "it is not signed by n5"
    living.announced["n5"] = liveness_proof(cluster, 0, "n5", living.acknowledged, seed, newest=NEWEST)
    while changes.turn():
        pass
    assert MembershipChange.objects.get().state == "done", MembershipChange.objects.get().sentence
    last = living.present.members[-1]
    assert (last.id, last.public_key, last.host, last.port) == ("n5", key, "n5.example", 4001)


def test_a_removed_member_is_stopped_and_signs_nothing(
    town: Api, living: LivingGateway, folder: ClusterFolder
) -> None:
    town.post("members", {"node_id": "r4"})
    follows(folder.node("r4"), living)
    while changes.turn():
        pass
    generation = ManagedNode.objects.get(pk="r4").generation
    assert town.call("DELETE", "members/r4").status_code == 200
    assert row_of("r4") == (NodePart.LEFT, DesiredState.STOPPED)
    assert ManagedNode.objects.get(pk="r4").generation == generation + 1, "its process notices that"
    assert [each.name for each in principals.list_principals()] == ["gateway"]
    assert [each["id"] for each in read(town.get("nodes"))] == ["r0", "r1", "r2", "r3"]


def test_an_epoch_ordered_by_another_platform_is_noticed(living: LivingGateway) -> None:
    now = living.present
    ManagedNode.objects.filter(node_id__in=["r0", "r1"]).update(status=NodeStatus.RUNNING)
    ManagedNode.objects.filter(pk="r0").update(report={"state": "voting"})
    ManagedNode.objects.filter(pk="r1").update(report={"state": "learning", "epoch": 3})
    assert [row.node_id for row in newcomers.suspects()] == ["r1"]
    assert newcomers.note_leavers(now) == [], "it is a member as far as we know"
    later = type(now)(epoch=3, after=9, members=now.members[2:], parameters=now.parameters)
    for other in (2, 4):
        ManagedNode.objects.filter(pk="r1").update(report={"state": "learning", "epoch": other})
        assert newcomers.note_leavers(later) == [], "it may be a member in the epoch that it follows"
    ManagedNode.objects.filter(pk="r1").update(report={"state": "learning", "epoch": 3})
    assert newcomers.note_leavers(later) == ["r1"]
    assert row_of("r1") == (NodePart.LEFT, DesiredState.STOPPED)


def test_a_newcomer_that_never_catches_up_is_given_up(
    town: Api, living: LivingGateway, folder: ClusterFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.post("members", {"node_id": "r4"})
    monkeypatch.setattr(changes, "FOLLOW_WAIT", 0.0)
    changes.turn()
    row = MembershipChange.objects.get()
    assert (row.state, row.code) == ("refused", "not_ready")
    assert row_of("r4") == (NodePart.LEFT, DesiredState.STOPPED)
    # And may be tried again under its name.
    monkeypatch.setattr(changes, "FOLLOW_WAIT", 600.0)
    town.post("members", {"node_id": "r4"})
    assert row_of("r4") == (NodePart.JOINING, DesiredState.RUNNING)
    follows(folder.node("r4"), living)
    while changes.turn():
        pass
    assert living.present.members[-1].id == "r4"


def test_r35_a_member_keeps_an_untaken_next_key_and_gets_no_other(
    town: Api, living: LivingGateway, folder: ClusterFolder
) -> None:
    node = folder.node("r1")
    node.create()
    write_private(node.key, b"11" * 32 + b"\n")
    ManagedNode.objects.filter(pk="r1").update(part=NodePart.LEFT)
    left = town.post("members/r1/rotate")
    assert (left.status_code, read(left)["error"]) == (
        400,
        "peer_id is required: r1 makes its next key on its own host",
    )
    ManagedNode.objects.filter(pk="r1").update(part=NodePart.MEMBER)
    refused = town.post("members/r1/rotate")  # its words are signed with the old key: it is not heard
    assert (refused.status_code, read(refused)["code"]) == (409, "not_ready")
    assert not node.next_key.exists()
    ensure_seed(node.next_key)
    made, now = node.next_key.read_bytes(), living.present
    rotated = msgspec.structs.replace(now.members[1], public_key=public_key_of(read_seed(node.next_key)))
    members = (now.members[0], rotated, *now.members[2:])
    living.present = msgspec.structs.replace(now, epoch=1, after=9, members=members)
    away = town.post("members/r1/rotate")
    assert (away.status_code, read(away)["code"]) == (409, "not_ready")
    assert "r1 does not use its key of epoch 1 yet" in read(away)["error"]
    assert node.next_key.read_bytes() == made
    # A gateway that was just opened may know an old epoch: without a quorum's words nothing is thrown away.
    living.present, living.down = now, frozenset({1, 2})
    row = changes.ask(ChangeRequest(change="rotate", node_id="r1"), actor="key:1")
    changes.turn()
    row.refresh_from_db()
    assert (row.state, row.code) == ("waiting", "unavailable")
    assert read(town.call("DELETE", f"changes/{row.pk}"))["data"]["state"] == "cancelled"
    assert node.next_key.read_bytes() == made


def test_a_change_whose_key_is_lost_blocks_no_other(town: Api, folder: ClusterFolder) -> None:
    lost = town.post("members/r1/rotate")
    assert (lost.status_code, read(lost)["code"]) == (409, "refused")
    assert "cannot do its part" in read(lost)["error"]
    assert town.call("PATCH", "parameters", {"view_timeout": 900_000}).status_code == 200
