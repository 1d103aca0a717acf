"""Processes that follow the log, told whole: a node that is no member, the learner, and a follower with
children of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.net import encode_seed
from dtvn.node import learner as learner_module
from dtvn.node import non_member, overlay_port, relay_dialling
from dtvn.node.bootstrap import Place
from dtvn.node.build import build_node
from dtvn.node.follower import FollowerOptions, build_follower
from dtvn.node.keys import dev_seed
from dtvn.node.learner import build_learner
from dtvn.node.non_member import NonMember
from dtvn.node.options import NodeOptions, StartError
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Note
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.wire import link_frame
from tests.golden import Compare
from tests.net.wires import DOWN, UP
from tests.node.telling import Stage, key_of
from validators.ledger import open_ledger

GOLDEN = Path(__file__).parent / "golden"


class Feed:
    """Tells what is announced to the platform."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def announce(self, sequence: int) -> None:
        self._stage.say(f"announces {sequence}")

    def close(self) -> None:
        self._stage.say("the feed ends")


class Following(Stage):
    """A process that a test drives as the loop does."""

    process: Any

    def keep_key(self, path: Path, owner: str) -> None:
        path.write_bytes(encode_seed(dev_seed(owner)))
        path.chmod(0o600)

    def turn(self, seconds: float = 0.0) -> None:
        self.now += int(seconds * 1e9)
        self.process.links.wait(0)
        self.process.host.turn()
        self.process.give_way()
        self.process.refresh()

    def start(self, process: Any) -> None:
        self.process = process
        process.start()
        process.introduce()
        self.tell("it runs")

    def tell(self, what: str) -> None:
        process = self.process
        self.say(f"{what}: searched {process.application._searched}, {len(process.links._links)} links")
        self.fields(process.brief())

    def linked(self, indices: Sequence[int]) -> None:
        """Links come up, and their members say how far they are."""
        for index in indices:
            self.process.links._links[index].socket.happens(UP)  # type: ignore[operator]
        self.turn(0.1)
        for index in indices:
            said = m.Status(0, index, 0, False, 5, 0, 5, (), True)
            self.process.links._links[index].socket.gets(self.signed(f"node{index}", said))  # type: ignore[operator]
        self.turn(0.1)

    def asks(self, index: int, *questions: Any) -> None:
        """A peer that is linked asks."""
        for question in questions:
            self.process.links._links[index].socket.gets(link_frame(question))  # type: ignore[operator]
            self.turn()

    def states(self) -> None:
        """What its heartbeat says in trouble."""
        process = self.process
        for disk_full, alarm in ((True, False), (False, True), (False, False)):
            process.disk_full = disk_full
            process.core.alarm = "it differs" if alarm else ""  # type: ignore[misc]
            self.say(f"disk full {disk_full}, alarm {alarm}: {process.brief()['state']}")
        process.publish()


def test_a_node_that_is_no_member(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stage = Following(monkeypatch, tmp_path, 3)
    folder = stage.node("node9")
    stage.keep_key(folder.next_key, "node9 again")
    stage.know("node9", "node9 again", "another", "relay")
    folder.sources.write_bytes(canonical.encode_trimmed(_later(stage)))
    options = NodeOptions()
    lone = NodeOptions(others_are_gone=True)
    with pytest.raises(StartError) as refused:
        build_node(folder.root, stage.logger, lone, open_ledger, api=stage.api)
    stage.say(f"! {refused.value}")
    stage.chapter("It dials the members, and one of a later epoch")
    made = build_node(folder.root, stage.logger, options, open_ledger, api=stage.api)
    assert isinstance(made, NonMember)
    stage.start(made)
    made.publish()
    stage.linked((0, 2))
    stage.asks(0, m.Query(4, "status", ()), m.Ping(7, False, 0))
    for seconds in (1.0, 1.0, 0.5):
        stage.turn(seconds)
        stage.say(f"after {seconds} s it publishes")
        made.publish()
    stage.chapter("The log goes on fast")
    made._notice(Note("paused", {}))
    monkeypatch.setattr(NonMember, "executed", property(lambda _self: 5_000))
    for seconds in (0.05, 0.05, 0.05):
        stage.turn(seconds)
        stage.say(f"after {seconds} s it notes something")
        made._notice(Note("paused", {}))
    proof = folder.liveness_proof
    stage.say(f"its proof has mode {proof.stat().st_mode & 0o777:04o}, {len(proof.read_bytes())} bytes")
    monkeypatch.setattr(non_member, "write_private", _no_room)
    stage.turn(2.0)
    made.publish()
    made.disk_full = True
    stage.turn(2.0)
    made.publish()
    stage.states()
    stage.chapter("Another process goes on with its links, and asks another one besides; then it ends")
    folder.sources.write_bytes(canonical.encode_trimmed(_later(stage, "relay")))
    _gone_on(stage, folder.root, options)
    golden(GOLDEN / "no-member.txt", stage.text)


def _later(stage: Stage, owner: str = "another") -> Membership:
    """A membership of the next epoch, with one member that is not in this one."""
    other = g.Member("node8", key_of(owner), "192.0.2.88", 88)
    first = founding(stage.genesis)
    return replace(first, epoch=1, members=(first.members[0], other))


def _no_room(*_arguments: object, **_named: object) -> None:
    raise OSError(28, "No space left on device")


def _gone_on(stage: Following, root: Path, options: NodeOptions) -> None:
    carried = stage.process.hand_over()
    made = build_node(root, stage.logger, options, open_ledger, api=stage.api, carried=carried)
    assert isinstance(made, NonMember)
    stage.start(made)
    stage.turn(0.1)
    stage.process.restart()
    stage.turn(0.1)
    stage.tell("its core was made anew")
    stage.process.close()


def test_the_learner(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stage = Following(monkeypatch, tmp_path, 3)
    stage.folder.create()
    stage.folder.genesis.write_bytes(g.encode(stage.genesis))
    stage.keep_key(stage.folder.learner_key, "learner")
    stage.folder.learner.mkdir()
    stage.folder.learner_sources.write_bytes(b"damaged")
    monkeypatch.setattr(learner_module, "publish", lambda _data: Feed(stage))
    made = build_learner(tmp_path, stage.logger, "", open_ledger)
    stage.start(made)
    stage.linked((0, 1))
    stage.asks(1, m.Query(4, "status", ()), m.Query(5, "genesis", ()))
    stage.process.links._links[0].socket.happens(DOWN)  # type: ignore[operator]
    for _second in range(3):
        stage.turn(1.0)
        made.publish()
    stage.states()
    stage.chapter("Another process goes on with links, ledger and feed")
    again = build_learner(tmp_path, stage.logger, "", open_ledger, made.hand_over())
    stage.start(again)
    stage.turn(0.1)
    again.close()
    golden(GOLDEN / "learner.txt", stage.text)


def test_a_follower_with_children(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stage = Following(monkeypatch, tmp_path, 3)
    stage.folder.create()
    stage.folder.genesis.write_bytes(g.encode(stage.genesis))
    stage.folder.learner.mkdir()
    stage.keep_key(stage.folder.follower_key, "learner")
    for module in (relay_dialling, overlay_port):
        monkeypatch.setattr(module.secrets, "randbelow", lambda _bound: 0)
    start = Place(key_of("gateway"), ("192.0.2.70", 70))
    options = FollowerOptions(start=start, name="gate", listen=("127.0.0.1", 7_100), pages=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    made = build_follower(tmp_path, options, stage.logger, open_ledger)
    stage.start(made)
    for _step in range(3):
        stage.turn(0.6)
    stage.say(f"it dials {sorted(made.links._links)}")
    stage.chapter("The peer that it asked first is up, and a child dials it")
    first = max(made.links._links)
    made.links._links[first].socket.happens(UP)  # type: ignore[operator]
    stage.made["gate#1"].asks("gateway")
    stage.turn(0.1)
    router, child = stage.made["router#1"], "principal/api-node0"
    for frame in (m.Hello(b""), m.Query(1, "genesis", ()), m.Query(2, "status", ()), m.Query(3, "x", ())):
        router.hears(b"rc", child, link_frame(frame))
        stage.turn(0.1)
    stage.fields(made.status())
    stage.tell("it has a child")
    stage.chapter("A principal counts no more")
    made.application.principals.revoke("api-node0")
    made.watcher.notice(Note("paused", {}))
    router.hears(b"rc", child, link_frame(m.Query(4, "status", ())))
    stage.turn(0.1)
    stage.say(f"malformed {made.links.malformed}, as of {made.as_of}")
    stage.states()
    stage.chapter("Another process goes on")
    again = build_follower(tmp_path, options, stage.logger, open_ledger, made.hand_over())
    stage.start(again)
    stage.turn(0.1)
    key = again.application.principals.counting()["api-node1"]
    stage.say(f"a child's key counts: {again.overlay.counts(key)}")
    again.application.principals.revoke("api-node1")
    again.watcher.notice(Note("paused", {}))
    stage.say(f"it is revoked: {again.overlay.counts(key)}")
    again.restart()
    stage.say(f"the ledger does not know of that: {again.overlay.counts(key)}")
    stage.turn(0.1)
    stage.fields(again.status())
    again.close()
    golden(GOLDEN / "follower.txt", stage.text)
