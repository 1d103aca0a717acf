"""Followers of the overlay at a log server: announcements, a fanout, referrals (PROTOCOL R45)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol.canonical import decode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.config import build
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host import log_server
from dtvn.protocol.host.heads import Heads
from dtvn.protocol.host.log_server import Fanout, LogServer
from dtvn.protocol.wire import Envelope
from tests.host.support import Paper, make_genesis
from tests.host.test_log_server import MILLISECOND, SECOND, Shop, checkpoint

GAP = log_server.ANNOUNCE_EVERY


class Relay(Shop):
    """A log server that pushes to two followers of the overlay, whose names begin with `f`."""

    def __init__(self, count: int = 0) -> None:
        super().__init__(count)
        paper = Paper()
        self.heads = Heads(build(make_genesis(), paper.cluster, None), paper.signer("r0"), lambda _s: None)
        self.children: list[bytes] = [b"one", b"two"]
        fanout = Fanout(2, lambda peer: peer.name.startswith("f"), lambda: self.children)
        transport = self.server._transport
        self.server = LogServer(
            self.journal, transport, paper.signer("r0"), fanout=fanout, heads=self.heads, epoch=3
        )
        self.server.begin(count)

    def follow(self, name: str, *, first: int = 1, lazy: bool = False) -> None:
        self.ask(m.Follow(3, first, lazy), Peer(name, None))

    def say(self, sender: int, time: int) -> None:
        now = Now(time * SECOND, time * 1_000)
        self.heads.take(m.Head(0, sender, 1, b"h" * 32, time), b"head %d" % sender, 0, now)

    def sent(self) -> list[tuple[str, Any]]:
        """(peer, message) of everything sent in this turn."""
        self.tape.said.clear()
        self.server.push(self.clock.now())
        found = [value for what, value in self.tape.said if what == "answer"]
        envelopes = [(peer.name, decode(Envelope, frame)) for peer, frame in found]
        return [(name, decode(m.KINDS[each.kind], each.body)) for name, each in envelopes]

    def announced(self) -> dict[str, tuple[int, int]]:
        """Peer -> (sequence, heads) of the announcement that it was sent in this turn."""
        return {
            name: (message.executed, len(message.heads))
            for name, message in self.sent()
            if isinstance(message, m.Announce)
        }

    def refusals(self) -> list[tuple[str, Any]]:
        """(peer, text) of each refusal since the last turn."""
        found = [value for what, value in self.tape.said if what == "answer"]
        answers = [(peer.name, decode(m.Answer, decode(Envelope, frame).body)) for peer, frame in found]
        assert {(answer.number, answer.code) for _name, answer in answers} <= {(0, "busy")}
        return [(name, msgspec.json.decode(answer.text)) for name, answer in answers]


def test_an_eager_follower_is_sent_entries_and_heads_but_no_announcement_of_entries() -> None:
    relay = Relay(0)
    relay.follow("f1")
    relay.execute(1)
    assert [type(message) for _name, message in relay.sent()] == [m.Entries]
    relay.clock.monotonic += GAP
    relay.say(1, 1)
    assert relay.announced() == {"f1": (1, 1)}


def test_a_new_follower_is_told_all_heads_and_others_only_the_new_one() -> None:
    relay = Relay(1)
    relay.follow("f1", lazy=True)
    relay.say(1, 1)
    assert relay.announced() == {"f1": (1, 1)}
    relay.clock.monotonic += GAP
    relay.follow("f2")
    relay.say(2, 2)
    assert relay.announced() == {"f1": (1, 1), "f2": (1, 2)}
    relay.clock.monotonic += GAP
    relay.follow("f2")
    assert relay.announced() == {}, "it is new no more"


def test_a_follower_that_becomes_lazy_frees_its_place() -> None:
    relay = Relay(1)
    for name in ("f1", "f2", "f3"):
        relay.follow(name)
    assert [name for name, _text in relay.refusals()] == ["f3"]
    relay.follow("f1", first=2, lazy=True)
    relay.tape.said.clear()
    relay.follow("f3")
    assert relay.refusals() == []
    assert ("f3", [1], 0) in relay.push()


def test_a_referral_names_a_bounded_number_of_children() -> None:
    relay = Relay(1)
    relay.children = [b"%d" % number for number in range(2 * log_server.CHILDREN_MAX)]
    for name in ("f1", "f2", "f3"):
        relay.follow(name)
    ((_name, text),) = relay.refusals()
    assert len(text["children"]) == log_server.CHILDREN_MAX


def test_a_referral_is_read_whole_or_not_at_all() -> None:
    relay = Relay(1)
    for name in ("f1", "f2", "f3"):
        relay.follow(name)
    ((_name, text),) = relay.refusals()
    assert log_server.read_referral(msgspec.json.encode(text).decode()) == relay.children
    assert log_server.read_referral('{"members": {}}') == []
    long = msgspec.json.encode({"children": ["A" * (log_server.RECORD_LENGTH_MAX + 4)]}).decode()
    many = msgspec.json.encode({"children": ["AAAA"] * (log_server.CHILDREN_MAX + 1)}).decode()
    wrongs = ("", "[]", '{"children": [1]}', '{"children": ["?"]}', '{"children": "x"}', "[" * 70_000)
    for wrong in (*wrongs, long, many, '{"children": ["é"]}', '{"children": ["\\ud800"]}', "\ud800"):
        assert log_server.read_referral(wrong) is None, wrong[:40]


def member(count: int = 0) -> Relay:
    """A log server that gathers what it pushes and announces to followers."""
    made, quick = Relay(count), Fanout(2, lambda peer: peer.name.startswith("f"), tuple)
    pushes, announces = log_server.MEMBER_PUSHES_EVERY, log_server.MEMBER_ANNOUNCES_EVERY
    made.server._fanout = msgspec.structs.replace(quick, push_every=pushes, announce_every=announces)
    return made


def test_a_member_gathers_entries_for_its_followers_and_sends_a_lone_one_at_once() -> None:
    node = member()
    node.follow("f1")
    node.follow("learner")
    node.execute(1)
    assert node.push() == [("f1", [1], 0), ("learner", [1], 0)]
    node.execute(2)
    assert node.push() == [("learner", [2], 0)]
    assert node.server.deadline() == node.clock.monotonic + log_server.MEMBER_PUSHES_EVERY
    node.execute(3)
    node.server.on_checkpoint(checkpoint(3))
    assert node.push() == [("learner", [3], 0), ("learner", [], 3)]
    node.wait()
    assert node.push() == [("f1", [2, 3], 0), ("f1", [], 3)]
    assert node.server.deadline() is None


def test_a_follower_that_lacks_earlier_entries_does_not_wait_for_the_next_push() -> None:
    node = member(4)
    node.follow("f1", first=5)
    for sequence in (5, 6):
        node.execute(sequence)
        node.push()
    node.follow("f2", first=2)
    assert node.push() == [("f2", [2, 3, 4, 5, 6], 0)]
    node.wait()
    assert node.push() == [("f1", [6], 0)]


def test_a_child_that_is_gone_frees_its_place() -> None:
    relay = Relay(1)
    relay.follow("f1")
    relay.follow("f2")
    relay.clock.monotonic += log_server.FOLLOW_TIME + MILLISECOND
    relay.follow("f3")
    assert relay.refusals() == []


def test_row_15_lazy_followers_are_bounded_and_of_one_principal_too() -> None:
    relay = Relay(1)
    for number in range(log_server.LAZY_SHARE + 3):
        relay.ask(m.Follow(3, 1, True), Peer("greedy", None, bytes([number])))
    for number in range(2 * log_server.LAZY_MAX):
        relay.follow(f"f{number}", lazy=True)
    assert len(relay.server._lazy) == log_server.LAZY_MAX
    assert sum(name.startswith("greedy/") for name in relay.server._lazy) == log_server.LAZY_SHARE
    relay.clock.monotonic += log_server.LAZY_TIME + MILLISECOND
    relay.follow("f-late", lazy=True)
    assert [name.rpartition("/")[0] for name in relay.server._lazy] == ["f-late"]
