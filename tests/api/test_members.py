"""/members, /parameters, /changes: the API over the real machine; signatures and liveness proofs are real."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.files.whole import write_private
from dtvn.gateway import Identity, next_path, read_identity
from dtvn.node.keys import peer_id
from tests.api.conftest import Api, read
from tests.api.living import LivingGateway
from tests.host.support import key_pair
from validators.membership import changes
from validators.models import MembershipChange
from validators.rest import members

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


NO_KEY = peer_id(sha256(b"0").digest())
"""The peer id of 32 bytes that are no point of the curve."""


def newcomer(living: LivingGateway, name: str, **more: Any) -> dict[str, Any]:
    key = peer_id(key_pair(name)[0])
    place = {"node_id": name, "peer_id": key, "host": "10.0.0.9", "port": 7100}
    return place | {"word": living.word_file(name)} | more


def enlist(town: Api, name: str) -> None:
    body = {"name": name, "peer_id": peer_id(key_pair(name)[0])}
    assert town.post("principals", body).status_code == 200


def test_r11_a_change_that_would_stop_all_decisions_is_not_ordered(town: Api, living: LivingGateway) -> None:
    """Each of three members waits for all others where an epoch begins."""
    living.down = frozenset({3})
    refused = town.call("DELETE", "members/r1?allow_small=true")
    assert (refused.status_code, read(refused)["code"]) == (409, "not_ready")
    assert "r3 did not answer" in read(refused)["error"]
    assert living.present.epoch == 0
    town.call("DELETE", "members/r3?allow_small=true")
    assert [member.id for member in living.present.members] == ["r0", "r1", "r2"]


def test_the_calculator_shows_thresholds_and_changes_nothing(town: Api) -> None:
    told = read(town.post("members/preview", {"change": "add", "node_id": "r4"}))["data"]
    assert (told["before"]["quorum"], told["after"]["quorum"], told["after"]["liars"]) == (3, 4, 1)
    assert told["seats"][4] == {"index": 4, "before": "", "after": "r4", "what": "joins"}
    told = read(town.post("members/preview", {"change": "remove", "node_id": "r1"}))["data"]
    assert (told["code"], told["after"]["liars"], told["after"]["crashes"]) == ("too_few_members", 0, 1)
    told = read(town.post("members/preview", {"change": "remove", "node_id": "r1", "allow_small": True}))[
        "data"
    ]
    assert told["code"] == ""
    assert [(seat["before"], seat["after"], seat["what"]) for seat in told["seats"]] == [
        ("r0", "r0", "stays"),
        ("r1", "r2", "leaves"),
        ("r2", "r3", "moved"),
        ("r3", "", "moved"),
    ]
    assert "crash-only" in told["after"]["note"]
    told = read(
        town.post("members/preview", {"change": "parameters", "parameters": {"view_timeout": 900_000}})
    )["data"]
    assert told["parameters"] == {"view_timeout": {"before": 800_000, "after": 900_000}}
    assert read(town.get("members"))["data"]["epoch"] == 0
    assert read(town.get("changes"))["data"] == []


def test_an_external_member_joins_gets_a_new_key_and_leaves(town: Api, living: LivingGateway) -> None:
    enlist(town, "r4")
    added = town.post("members", newcomer(living, "r4"))
    assert added.status_code == 200, added.content
    done = read(added)["data"]
    assert (done["state"], done["epoch"], done["code"]) == ("done", 1, "ok")
    assert int(added.headers["X-DTVN-Sequence"]) == done["sequence"] > 0
    assert added.headers["Location"] == f"/api/v1/changes/{done['id']}"
    assert read(town.get(f"changes/{done['id']}"))["data"] == done
    told = read(town.get("members"))["data"]
    assert [each["id"] for each in told["members"]] == ["r0", "r1", "r2", "r3", "r4"]
    assert told["members"][4]["external"] is True

    living.next_keys["r4"] = "r4 again"
    body = {"peer_id": peer_id(key_pair("r4 again")[0])}
    rotated = town.post("members/r4/rotate", body)
    assert read(rotated)["data"]["epoch"] == 2, rotated.content
    told = read(town.get("members"))["data"]["members"][4]
    assert told["public_key"] == key_pair("r4 again")[0].hex()
    living.keys["r4"] = living.next_keys.pop("r4")

    gone = town.call("DELETE", "members/r4")
    assert read(gone)["data"]["epoch"] == 3, gone.content
    listed = read(town.get("changes"))["data"]
    assert [each["change"] for each in listed] == ["remove", "rotate", "add"]


def test_parameters_change_and_an_invalid_one_is_named(town: Api) -> None:
    assert read(town.call("PATCH", "parameters", {"view_timeout": 900_000}))["data"]["epoch"] == 1
    assert read(town.get("members"))["data"]["parameters"]["view_timeout"] == 900_000
    for body, said in [
        ({}, "at least one"),
        ({"view_timeout": 1}, "parameters.view_timeout"),
        ({"view_timeout": "slow"}, "view_timeout must be a number"),
        ({"view_timeout": True}, "view_timeout must be a number"),
        ({"view_time": 900_000}, "view_time"),
        ({"nonces_max": 5_000}, "parameters.nonces_max"),
        ({"view_timeout": 10**30}, "view_timeout"),
    ]:
        refused = town.call("PATCH", "parameters", body)
        assert (refused.status_code, read(refused)["code"]) == (400, "bad_request"), body
        assert said in read(refused)["error"]
    same = town.call("PATCH", "parameters", {"view_timeout": 900_000})
    assert same.status_code == 400


def test_a_refusal_gives_its_reason_and_changes_nothing(town: Api, living: LivingGateway) -> None:
    small = town.call("DELETE", "members/r0")
    assert (small.status_code, read(small)["code"]) == (409, "too_few_members")
    unknown = town.call("DELETE", "members/r8?allow_small=true")
    assert (unknown.status_code, read(unknown)["code"]) == (404, "member_not_found")
    double = town.post("members", newcomer(living, "r1"))
    assert (double.status_code, read(double)["code"]) == (409, "member_exists")
    assert MembershipChange.objects.count() == 0
    # Seen only by the cluster: a newcomer whose word is of another key, and one that nobody heard of.
    lying = town.post("members", newcomer(living, "r5", word=living.word_file("r5", key="somebody")))
    assert (lying.status_code, read(lying)["code"]) == (409, "not_ready")
    taken = town.post("members", newcomer(living, "r6", peer_id=peer_id(key_pair("gateway")[0])))
    assert (taken.status_code, read(taken)["code"]) == (409, "key_in_use")
    living.down = frozenset({1, 2})
    dead = town.call("DELETE", "members/r3?allow_small=true")
    assert (dead.status_code, read(dead)["code"]) == (409, "not_ready")
    assert read(town.get("members"))["data"]["epoch"] == 0
    assert [each["state"] for each in read(town.get("changes"))["data"]] == ["refused"] * 3


def test_a_principal_s_key_that_is_no_curve_point_is_refused(town: Api) -> None:
    enlist(town, "gate-7")
    for path, body in (("principals", {"name": "x"}), ("principals/gate-7/rotate", {})):
        answer = town.post(path, body | {"peer_id": NO_KEY})
        assert (answer.status_code, read(answer)["code"]) == (400, "bad_request"), answer.content
        assert read(answer)["error"].startswith("peer_id: ")


def test_malformed_calls_are_refused_with_the_wrong_field(town: Api) -> None:
    assert "allow_small" in read(town.call("DELETE", "members/r0?allow_small=maybe"))["error"]
    assert "change must be one of" in read(town.post("members/preview", {"change": "fly"}))["error"]
    assert "parameters must be" in read(town.post("members/preview", {"change": "parameters"}))["error"]
    beside = town.post("members/preview", {"change": "add", "node_id": "r4", "parameters": {"window": []}})
    assert "parameters must be absent" in read(beside)["error"]
    external = town.post("members/r2/rotate")
    assert external.status_code == 400
    assert "peer_id is required" in read(external)["error"]
    for number in (7, 10**30):
        assert town.get(f"changes/{number}").status_code == 404


def test_the_same_nonce_is_the_same_change(town: Api) -> None:
    first = town.call("PATCH", "parameters", {"view_timeout": 900_000}, Idempotency_Key="change-1")
    again = town.call("PATCH", "parameters", {"view_timeout": 900_000, "nonce": "change-1"})
    assert read(first)["data"] == read(again)["data"]
    other = town.call("PATCH", "parameters", {"view_timeout": 950_000}, Idempotency_Key="change-1")
    assert (other.status_code, read(other)["code"]) == (422, "nonce_reused")
    assert read(town.get("members"))["data"]["epoch"] == 1


def test_a_lost_outcome_is_queried_again_and_not_executed_twice(
    town: Api, living: LivingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members.changes, "wait", lambda row, seconds: work_off_steps(row, 2))
    living.mute = True
    body = {"view_timeout": 900_000, "nonce": "once"}
    unknown = town.call("PATCH", "parameters", body)
    assert (unknown.status_code, read(unknown)["code"]) == (504, "outcome_unknown")
    living.mute = False
    known = town.call("PATCH", "parameters", body)
    assert known.status_code == 200, known.content
    assert read(known)["data"]["epoch"] == 1
    assert living.present.epoch == 1
    assert MembershipChange.objects.get().attempt == 1


def test_an_unsent_change_waits_until_the_cluster_is_back(
    town: Api, living: LivingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members.changes, "wait", lambda row, seconds: work_off_steps(row, 2))
    living.quorum = False
    waits = town.call("PATCH", "parameters", {"view_timeout": 900_000})
    assert waits.status_code == 504
    rival = town.call("PATCH", "parameters", {"view_timeout": 950_000})
    assert (rival.status_code, read(rival)["code"]) == (409, "change_pending")
    living.quorum = True
    changes.turn()
    assert MembershipChange.objects.get().state == "done"


def work_off_steps(row: MembershipChange, steps: int) -> MembershipChange:
    for _ in range(steps):
        changes.turn()
    row.refresh_from_db()
    return row


def test_principals_are_listed_limited_given_keys_and_revoked(town: Api) -> None:
    body = {
        "name": "gate-1",
        "peer_id": peer_id(key_pair("gate-1")[0]),
        "grants": [{"event": "default", "capability": "gate"}, {"capability": "operate"}],
        "nonce": "one",
    }
    made = town.post("principals", body)
    assert made.status_code == 200, made.content
    assert read(town.post("principals", body))["data"] == read(made)["data"], "the same nonce"
    shown = read(town.get("principals/gate-1"))["data"]
    assert shown == read(made)["data"]
    assert shown["grants"] == [
        {"event": "*", "capability": "operate"},
        {"event": "default", "capability": "gate"},
    ]
    limited = town.call("PATCH", "principals/gate-1", {"grants": []})
    assert read(limited)["data"]["grants"] == []
    assert int(limited.headers["X-DTVN-Sequence"]) > int(made.headers["X-DTVN-Sequence"])
    other = {"peer_id": peer_id(key_pair("gate-1 later")[0]), "overlap": 30}
    rotated = read(town.post("principals/gate-1/rotate", other))["data"]
    assert (rotated["wire"], rotated["own"]) == ("gate-1#1", False)
    assert rotated["public_key"] == key_pair("gate-1 later")[0].hex()
    names = [(each["name"], each["own"]) for each in read(town.get("principals"))["data"]]
    assert names == [("gate-1", False), ("gateway", True)]
    assert town.call("DELETE", "principals/gate-1").status_code == 200
    gone = town.get("principals/gate-1")
    assert (gone.status_code, read(gone)["code"]) == (404, "principal_not_found")
    own = town.call("DELETE", "principals/gateway")
    assert (own.status_code, read(own)["code"]) == (409, "own_principal")
    alone = town.call("PATCH", "principals/gateway", {"grants": []})
    assert (alone.status_code, read(alone)["code"]) == (409, "last_admin")


def test_the_platforms_new_key_is_made_stored_and_installed(
    town: Api, living: LivingGateway, settings: Any, tmp_path: Path
) -> None:
    settings.DATA = tmp_path
    key = tmp_path / "keys" / "gateway.key"
    key.parent.mkdir()
    write_private(key, b"11" * 32 + b"\n")
    living.mute = True
    unknown = town.post("principals/gateway/rotate")
    assert (unknown.status_code, read(unknown)["code"]) == (504, "outcome_unknown")
    assert read_identity(key).wire == ""
    upcoming = read_identity(next_path(key))
    living.mute = False
    # It was done: asking again asks for the same key, and learns that.
    living.principal = "gateway#1"
    done = town.post("principals/gateway/rotate")
    assert done.status_code == 200, done.content
    assert read(done)["data"]["public_key"] == upcoming.public_key.hex()
    assert read_identity(key) == Identity(upcoming.seed, "gateway#1")
    assert not next_path(key).exists()


def test_r47_members_show_their_release_and_whom_the_next_version_waits_for(
    town: Api, living: LivingGateway
) -> None:
    told = read(town.get("members"))["data"]
    assert ({each["release"] for each in told["members"]}, told["waits"]) == ({"0.2.0"}, "")
    living.before = frozenset({1})
    living.present = msgspec.structs.replace(
        living.present, parameters=msgspec.structs.replace(living.present.parameters, version=1)
    )
    told = read(town.get("members"))["data"]
    assert [each["release"] for each in told["members"]][:2] == ["0.2.0", "0.1.0 or unknown"]
    assert told["waits"] == "Version 2 waits for r1 (0.1.0)."
    health = read(Api(None).get("/health"))
    assert (health["version"], health["releases"]["r1"]) == (1, "0.1.0 or unknown")
    assert health["waits"] == told["waits"]
