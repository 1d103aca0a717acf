"""Tells the membership and the principals, over REST and by command: previews, changes and their refusals,
rows of nodes and changes, cancelled and repeated ones, lost outcomes, with headers, bodies and audit."""

from __future__ import annotations

import base64
import builtins
import itertools
import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from dtvn.net import encode_seed
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from tests.api.conftest import Api
from tests.api.living import LivingGateway
from tests.api.telling import Story, Teller, beside, clock  # noqa: F401 - a fixture
from tests.api.test_newcomers import follows
from tests.golden import Compare
from tests.host.support import key_pair
from tests.support.clock import SetClock
from tests.team_keys import store_key
from validators.data_folder import tcp_ports
from validators.membership import changes
from validators.models import MembershipChange
from validators.rest import members
from validators.services import network

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.django_db(databases=["default", "learner"])]

NO_KEY = peer_id(sha256(b"0").digest())


def key_of(name: str) -> str:
    return peer_id(key_pair(name)[0])


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def tell(town: Api, story: Story) -> Teller:
    return Teller(story, town.call)


def work_off() -> None:
    for _ in range(12):
        changes.turn()


def newcomer(living: LivingGateway, name: str, **more: Any) -> dict[str, Any]:
    place = {"node_id": name, "peer_id": key_of(name), "host": "10.0.0.9", "port": 7100}
    return place | {"word": living.word_file(name)} | more


def refuse_changes(tell: Teller, story: Story, living: LivingGateway) -> None:
    """What is refused, and the one removal that leaves too few."""
    story.heading("Refused")
    for path in ("members/r8", "members/r0", "members/r0?allow_small=maybe", "members/r0?allow_small=false"):
        tell("DELETE", path)
    for body in (
        newcomer(living, "r1"),
        newcomer(living, "r5", word=living.word_file("r5", key="somebody")),
        newcomer(living, "r6", peer_id=key_of("gateway")),
        newcomer(living, "r7", peer_id=NO_KEY),
        newcomer(living, "r7", host="a b"),
        newcomer(living, "r7", port=70_000),
        newcomer(living, "r7", word="AAAA"),
        {"node_id": "preview"},
        {"node_id": "n", "host": "h"},
        {"node_id": "n", "replaces": "n"},
        {"node_id": "../x"},
    ):
        tell("POST", "members", body)
    living.down = frozenset({1, 2})
    tell("DELETE", "members/r3?allow_small=true")
    living.down = frozenset()
    tell("DELETE", "members/r3", {"allow_small": True})
    tell("GET", "members")


def test_what_changes_of_members_tell(
    golden: Compare,
    tell: Teller,
    story: Story,
    living: LivingGateway,
    clock: SetClock,  # noqa: F811
) -> None:
    tell("GET", "members")
    story.heading("An external member joins, gets a key, replaces another, and leaves")
    tell("POST", "principals", {"name": "r4", "peer_id": key_of("r4")})
    clock.forward(1)
    tell("POST", "members", newcomer(living, "r4", nonce="joins"))
    tell("POST", "members", newcomer(living, "r4", nonce="joins"))
    tell("POST", "members", newcomer(living, "r5", nonce="joins"))
    tell("GET", "members")
    living.next_keys["r4"] = "r4 again"
    clock.forward(1)
    tell("POST", "members/r4/rotate", {"peer_id": key_of("r4 again")})
    living.keys["r4"] = living.next_keys.pop("r4")
    tell("POST", "members/r4/rotate", {"peer_id": key_of("r4")})
    tell("POST", "members/r4/rotate")
    tell("POST", "principals", {"name": "r9", "peer_id": key_of("r9")})
    clock.forward(1)
    tell("POST", "members", newcomer(living, "r9", replaces="r2", host="r9.example", port=7009))
    clock.forward(1)
    tell("DELETE", "members/r4")
    tell("GET", "members")
    story.heading("Parameters")
    for body in (
        {"view_timeout": 900_000, "checkpoint_interval": 20},
        {"view_timeout": 900_000},
        {"view_timeout": 1},
        {"view_timeout": "slow"},
        {"view_timeout": None},
        {"nonces_max": 5_000},
        {"wings": 2},
        {},
    ):
        clock.forward(1)
        tell("PATCH", "parameters", body)
    refuse_changes(tell, story, living)
    story.heading("All changes, and each")
    tell("GET", "changes")
    tell("GET", "changes/2")
    tell("GET", "changes/99")
    tell("DELETE", "changes/2")
    golden(beside(__file__, "members_changed"), str(story))


def test_what_previews_tell(golden: Compare, tell: Teller, story: Story, living: LivingGateway) -> None:
    preview = partial(tell, "POST", "members/preview")
    for body in (
        {"change": "add", "node_id": "r4"},
        {"change": "add", "node_id": "r1"},
        newcomer(living, "r4", change="add"),
        newcomer(living, "r4", change="replace", replaces="r1"),
        {"change": "replace", "node_id": "r4", "replaces": "r8"},
        {"change": "remove", "node_id": "r1"},
        {"change": "remove", "node_id": "r1", "allow_small": True},
        {"change": "remove", "node_id": ""},
        {"change": "rotate", "node_id": "r1"},
        {"change": "rotate", "node_id": "r2"},
        {"change": "rotate", "node_id": "r2", "peer_id": key_of("r2 again")},
        {"change": "parameters", "parameters": {"view_timeout": 900_000, "checkpoint_interval": 12}},
        {"change": "parameters", "parameters": {"view_timeout": 800_000}},
        {"change": "parameters", "parameters": {"view_timeout": "x"}},
        {"change": "parameters"},
        {"change": "add", "node_id": "r4", "parameters": {}},
        {"change": "fly"},
        {},
    ):
        preview(body)
    tell("GET", "changes")
    golden(beside(__file__, "members_previewed"), str(story))


def test_what_a_newcomer_of_the_platform_tells(
    golden: Compare,
    tell: Teller,
    story: Story,
    living: LivingGateway,
    folder: ClusterFolder,
    clock: SetClock,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports = itertools.count(31_000)
    monkeypatch.setattr(tcp_ports, "choose_ports", lambda names, **_: [next(ports) for _ in names])
    tell("POST", "members", {"node_id": "r4"})
    tell("PATCH", "parameters", {"view_timeout": 900_000})
    tell("POST", "members", {"node_id": "r5"})
    tell("POST", "members", {"node_id": "r4"})
    tell("DELETE", "members/r0", {"allow_small": True})
    tell("GET", "members")
    tell("GET", "nodes")
    tell("DELETE", "changes/3")
    tell("POST", "nodes/r4/restart")
    tell("GET", "nodes/r4")
    clock.forward(60)
    story.heading("It has followed")
    follows(folder.node("r4"), living)
    work_off()
    tell("GET", "changes")
    tell("GET", "nodes")
    story.heading("Cancelled, called off, given up")
    tell("POST", "members", {"node_id": "r6"})
    tell("DELETE", "changes/4")
    tell("DELETE", "changes/4")
    tell("POST", "nodes", {"node_id": "r7"})
    tell("POST", "nodes/r7/stop")
    work_off()
    tell("POST", "members", {"node_id": "r8"})
    clock.forward(601)
    work_off()
    tell("GET", "changes")
    tell("DELETE", "changes/1")
    tell("GET", "principals")
    for file in sorted(folder.root.rglob("*.json")):
        story.say(f"{file.relative_to(folder.root)}")
        story.value(json.loads(file.read_text()), 2)
    golden(beside(__file__, "members_newcomer"), str(story))


def test_what_a_lost_outcome_tells(
    golden: Compare, tell: Teller, story: Story, living: LivingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_turns(row: MembershipChange, _seconds: float) -> MembershipChange:
        for _ in range(2):
            changes.turn()
        row.refresh_from_db()
        return row

    monkeypatch.setattr(members.changes, "wait", two_turns)  # type: ignore[attr-defined]
    once = {"view_timeout": 900_000, "nonce": "once"}
    living.mute = True
    tell("PATCH", "parameters", once)
    living.mute = False
    tell("PATCH", "parameters", once)
    living.quorum = False
    tell("PATCH", "parameters", {"view_timeout": 950_000})
    tell("PATCH", "parameters", {"view_timeout": 960_000})
    tell("DELETE", "changes/2")
    living.quorum = True
    changes.turn()
    tell("GET", "changes")
    golden(beside(__file__, "members_unknown"), str(story))


def test_what_principals_tell(golden: Compare, tell: Teller, story: Story, clock: SetClock) -> None:  # noqa: F811
    store_key("dtvn_reader", label="reader", scopes=["operate"])
    reader = Teller(story, Api("dtvn_reader").call, "reads")
    grants = [
        {"event": "fest", "capability": "gate"},
        {"capability": "operate"},
        {"event": "a", "capability": "issue"},
    ]
    made = {"name": "gate-1", "peer_id": key_of("gate-1"), "grants": grants, "nonce": "one"}
    tell("POST", "principals", made)
    tell("POST", "principals", made)
    tell("POST", "principals", made | {"nonce": "two"})
    tell("POST", "principals", made | {"name": "gate-2", "nonce": "one"})
    tell("POST", "principals", {"name": "gate-2", "peer_id": key_of("gate-1")})
    tell("POST", "principals", {"name": "gate-2", "peer_id": key_of("gate-2")})
    reader("GET", "principals")
    reader("GET", "principals/gate-1")
    reader("POST", "principals", made)
    tell("PATCH", "principals/gate-1", {"grants": grants[:1] * 2})
    tell("PATCH", "principals/gate-1", {"grants": []})
    tell("PATCH", "principals/gate-1", {})
    tell("PATCH", "principals/absent", {"grants": []})
    tell("PATCH", "principals/gateway", {"grants": []})
    tell("POST", "principals/gate-2/rotate", {"peer_id": key_of("gate-2 later"), "overlap": 600})
    tell("POST", "principals/gate-2/rotate", {"peer_id": key_of("gate-2 later"), "overlap": 601})
    tell("POST", "principals/gate-2/rotate", {})
    tell("POST", "principals/gate-2/rotate", {"peer_id": NO_KEY})
    tell("POST", "principals/absent/rotate", {"peer_id": key_of("x")})
    tell("DELETE", "principals/gate-1")
    tell("DELETE", "principals/gate-1")
    tell("DELETE", "principals/gateway")
    tell("DELETE", "principals/gate%001")
    for name in ("gate-1", "gate-2", "gateway", "absent"):
        tell("GET", f"principals/{name}")
    for wrong in (
        {"name": "a b", "peer_id": key_of("x")},
        {"name": "x", "peer_id": "12D3no"},
        {"name": "x"},
        {"name": "x", "peer_id": key_of("x"), "grants": [{"capability": "fly"}]},
        {"name": "x", "peer_id": key_of("x"), "grants": [{"event": "a b", "capability": "gate"}]},
        {"name": "x", "peer_id": key_of("x"), "grants": ["gate"]},
        {"name": "x", "peer_id": key_of("x"), "grants": "gate"},
    ):
        tell("POST", "principals", wrong)
    tell("GET", "principals")
    golden(beside(__file__, "principals"), str(story))


def run_principals(run: Callable[..., None], story: Story, folder: ClusterFolder) -> None:
    """The commands of principals, one after the other."""
    story.heading("Principals")
    run("principals", "list")
    run("principals", "add", "gate-1", key_of("gate-1"), "--grant", "fest:gate", "--grant", "operate")
    run("principals", "add", "gate-1", key_of("gate-1"))
    run("principals", "limit", "gate-1", "--grant", "*:gate")
    run("principals", "limit", "gate-1", "--grant", "*:fly")
    run("principals", "rotate", "gate-1", key_of("gate-1 later"), "--overlap", "5")
    run("principals", "rotate", "gate-1")
    run("principals", "rotate", "gate-1", key_of("x"), "--overlap", "601")
    folder.gateway_key.parent.mkdir(parents=True, exist_ok=True)
    folder.gateway_key.write_bytes(encode_seed(sha256(b"gateway").digest(), "gateway"))
    run("principals", "list")
    run("principals", "revoke", "gate-1")
    run("principals", "revoke", "gate-1")
    run("principals", "revoke", "gateway")


def test_what_commands_of_members_and_principals_tell(
    golden: Compare,
    story: Story,
    living: LivingGateway,
    folder: ClusterFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story.hidden[str(folder.root)] = "DIR"

    def close() -> None:
        network.use(living)

    monkeypatch.setattr(network, "close", close)
    place = ("--data-dir", str(folder.root))

    def run(command: str, verb: str, *words: object) -> None:
        where = place if command == "members" else ()
        story.command(command, verb, *where, *words, hidden=place)

    monkeypatch.setattr(builtins, "input", lambda _question: "n")
    run_principals(run, story, folder)
    story.heading("Members")
    run("members", "show")
    run("members", "enlist", "r4", key_of("r4"))
    run("members", "enlist", "r4", "nothing")
    proof = folder.root / "alive.bin"
    proof.write_bytes(base64.b64decode(living.word_file("r4")))
    joins = ("r4", key_of("r4"), "--host", "10.0.0.9", "--port", 7100)
    run("members", "add", *joins)
    monkeypatch.setattr(builtins, "input", lambda _question: " Y ")
    story_proof = ("--liveness-proof", str(proof))
    story.command("members", "add", *place, *joins, *story_proof, hidden=(*place, *story_proof))
    run("members", "parameters", "view_timeout=900000", "checkpoint_interval=20", "--yes")
    run("members", "parameters", "view_timeout=900000", "--yes")
    run("members", "parameters", "view_timeout=x", "--yes")
    run("members", "remove", "r9", "--yes")
    run("members", "remove", "r4", "--yes")
    run("members", "remove", "r3", "--yes")
    run("members", "move", "r2", "--host", "10.0.0.2", "--port", 7002, "--yes")
    run("members", "move", "r2", "--host", "10.0.0.2", "--port", 7002, "--yes")
    run("members", "changes")
    run("members", "cancel", 1)
    run("members", "cancel", 99)
    elsewhere = ("--data-dir", str(folder.root / "elsewhere"))
    for words in (
        ("changes",),
        ("cancel", 1),
        ("show",),
        ("remove", "r2", "--yes"),
        ("rotate", "r2", "--yes"),
    ):
        story.command("members", words[0], *elsewhere, *words[1:], hidden=elsewhere)
    run("members", "show")
    golden(beside(__file__, "members_commands"), str(story))
