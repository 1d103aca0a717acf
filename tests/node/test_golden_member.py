"""A member's process told whole: what it sends, logs and answers, its status and every one of its metrics."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from dtvn.machine import Command, Consume, Dispute, Issue, Validate, build
from dtvn.net import encode_seed
from dtvn.node.asker import Heard
from dtvn.node.build import build_node
from dtvn.node.keys import dev_seed
from dtvn.node.metrics import take
from dtvn.node.metrics.exporter import _families
from dtvn.node.newcomer_proofs import arguments_of
from dtvn.node.node import Node
from dtvn.node.non_member import liveness_proof
from dtvn.node.options import NodeOptions
from dtvn.overlay import AddressValue, signed_address
from dtvn.overlay.messages import Records, encode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Note
from dtvn.protocol.wire import link_frame
from tests.golden import Compare
from tests.net.wires import DOWN, UP, user
from tests.node.telling import Stage, key_of, secret_of
from validators.ledger import open_ledger

GOLDEN = Path(__file__).parent / "golden"
QUESTIONS = ("status", "stats", "consensus", "peers", "alive")


class Member(Stage):
    """A node that a test drives as the loop does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, data: Path, members: int, index: int = 0) -> None:
        super().__init__(monkeypatch, data, members)
        self.folder_of_node = self.node(f"node{index}")
        options = NodeOptions(bind=("127.0.0.1", 7_000 + index), books={key_of("learner"): ("192.0.2.5", 5)})
        made = build_node(self.folder_of_node.root, self.logger, options, open_ledger, api=self.api)
        assert isinstance(made, Node)
        self.process = made
        self.options = options
        self.router = self.made["router#1"]
        self.number = -1

    def turn(self, seconds: float = 0.0) -> None:
        self.now += int(seconds * 1e9)
        self.process.links.wait(0)
        self.process.host.turn()
        self.process.give_way()

    def hears(self, route: bytes, of: str, *frames: bytes) -> None:
        for frame in frames:
            self.router.hears(route, of, frame)
        self.turn()

    def gateway(self, *operations: m.Operation) -> None:
        """A bundle of the gateway arrives."""
        self.number += 1
        session = (1, 0) if self.number else (0, 0)
        number = max(0, self.number - 1)
        bundle = m.Bundle(0, "gateway", b"client-1", session, number, number, operations)
        self.hears(b"rg", "principal/gateway", self.signed("gateway", bundle))
        for _turn in range(3):
            self.turn()

    def do(self, ticket: str, *commands: Command) -> None:
        until = self.wall // 1_000 + 10_000_000
        for command in commands:
            made = build(command, ticket=ticket, actor="tester", entry="node0")
            self.gateway(msgspec.structs.replace(made, valid_until=until))

    def ask(self, what: str, *arguments: str) -> None:
        self.answer(self.process.inspector.answer, what, *arguments)

    def all_answers(self, *further: tuple[str, ...]) -> None:
        for what, *arguments in (*((each,) for each in QUESTIONS), *further):
            self.ask(what, *arguments)

    def metrics(self) -> None:
        """Every sample, as a scrape sees it."""
        self.say("metrics:")
        for family in (*_families(take(self.process).values), *self.process.figures.registry.collect()):
            for sample in family.samples:
                labels = ",".join(sample.labels.values())
                if not sample.name.endswith(("_created", "_bucket")):
                    self.say(f"  {sample.name}{{{labels}}} {sample.value:g}")


def test_a_lone_member(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    member = Member(monkeypatch, tmp_path, 1)
    member.chapter("It starts")
    member.process.start()
    member.process.introduce()
    member.turn()
    member.process.refresh()
    member.process.refresh()
    member.all_answers()
    member.chapter("A gateway has operations ordered")
    member.hears(b"rg", "principal/gateway", link_frame(m.Hello(b"client-1")))
    until = member.wall // 1_000 + 10_000_000
    member.gateway(m.Operation("open_session", "", "", "gateway", "", until, b"nonce-of-twelve", b""))
    member.do("T1", Issue(), Validate(), Validate(), Consume())
    member.do("T2", Issue(), Validate(), Dispute())
    member.do("T3", Issue(), Consume())
    member.turn(1.0)
    member.process.publish()
    executed = member.process.executed
    member.all_answers(
        *(("ticket", "T1"), ("ticket", "default", "T2"), ("ticket", "default", "none"), ("ticket",)),
        *(("proof", "default", "T1"), ("proof", "T1"), ("receipt", "1"), ("receipt", str(executed))),
        *(("receipt", str(executed + 1)), ("receipt", "x"), ("evidence", "0"), ("evidence", "-1")),
        *(("newcomer", "nobody"), ("nothing",), ("ticket", "x" * 256), ("ticket", "x" * 257), ("genesis",)),
    )
    member.metrics()
    _troubles(member, monkeypatch)
    member.chapter("It ends")
    member.process.close()
    golden(GOLDEN / "lone-member.txt", member.text)


def _troubles(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    member.chapter("Its disk is full; certificates exclude each other")
    process = member.process
    for disk_full, halted in ((True, ""), (False, "two commits differ"), (True, "two commits differ")):
        process.disk_full, process.halted = disk_full, halted
        for what in ("status", "stats", "peers", "evidence", "receipt", "proof", "consensus", "ticket"):
            answer = process.inspector.answer(m.Query(1, what, ()))
            member.say(f"{what}: {answer.code or 'ok'}")
        member.say(f"{process.state}, {process.voting}, {process.voting_reason}")
        member.fields(process.brief())
        member.metrics()
    process.disk_full, process.halted = False, ""
    member.chapter("A question fails, and the key is to change")
    with monkeypatch.context() as broken:
        broken.setattr(process.inspector, "peers", lambda: 1 // 0)
        member.ask("peers")
    path = member.folder_of_node.next_key
    path.write_bytes(b"no key")
    path.chmod(0o600)
    for _second in range(2):
        process.publish()
    path.write_bytes(encode_seed(dev_seed("node0 again")))
    process.publish()
    for arguments in ((), ("next_key",)):
        member.ask("alive", *arguments)
    member.chapter("The core is built anew")
    process.restart()
    member.ask("status")
    member.ask("receipt", "1")
    member.metrics()


# --- one of four -----------------------------------------------------------------------------------


def test_one_of_four(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    member = Member(monkeypatch, tmp_path, 4, index=1)
    member.chapter("It starts, and asks where the others are")
    member.process.start()
    member.process.introduce()
    for _second in range(2):
        member.process.publish()
        member.turn(1.0)
    member.chapter("One says where the others are")
    records = [
        signed_address(member.cluster, secret_of(name), value, member.wall // 1_000)
        for name, value in (
            ("node0", AddressValue("node0", "member", (("192.0.2.100", 70), ("192.0.2.101", 71)))),
            ("node3", AddressValue("node3", "member", (("192.0.2.103", 73),))),
        )
    ]
    answers = [encode(Records(number, tuple(records))) for number in range(4)]
    member.asked.heard.append(Heard(key_of("node2"), True, answers))
    member.turn(0.1)
    member.process.publish()
    _all_are_linked(member)
    _newcomers(member)
    member.chapter("The primary is silent, and one link ends")
    member.made["dealer#3"].happens(DOWN)
    for _step in range(14):
        member.turn(0.5)
    member.process.publish()
    member.all_answers()
    member.metrics()
    for disk_full, halted in ((True, ""), (False, "two commits differ")):
        member.process.disk_full, member.process.halted = disk_full, halted
        member.ask("status")
    member.process.disk_full, member.process.halted = False, ""
    _gives_way(member, monkeypatch)
    _handed_over(member)
    golden(GOLDEN / "one-of-four.txt", member.text)


def _all_are_linked(member: Member) -> None:
    member.chapter("The others are linked, and say how far they are")
    member.say(f"sockets {sorted(member.made)}")
    for number in (1, 3):
        member.made[f"dealer#{number}"].happens(UP)
    first = user(member.genesis, 0)
    member.hears(b"r0", first, link_frame(m.Hello(b"")))
    for sender in (0, 2, 3):
        status = m.Status(0, sender, 0, False, 5 * sender, 0, 5 * sender, (), True)
        frame = member.signed(f"node{sender}", status)
        if sender:
            member.made[f"dealer#{1 if sender == 2 else 3}"].gets(frame)
        else:
            member.router.hears(b"r0", first, frame)
    member.turn(0.25)
    member.hears(b"r0", first, b"\x94\x11 no frame", link_frame(m.Ping(7, False, 0)))
    member.process.publish()
    member.process.refresh()
    member.all_answers()


def _newcomers(member: Member) -> None:
    member.chapter("A newcomer says that it is alive")
    for who, executed in (("learner", 3), ("learner", 2), ("nobody", 3)):
        member.now += 1_000_000 if executed == 3 else -2_000_000
        proof = liveness_proof(member.cluster, 0, who, executed, dev_seed(who))
        member.ask("announce", *arguments_of(proof))
    member.ask("announce", "x")
    member.ask("newcomer", "learner")


def _gives_way(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    process = member.process
    rests = SimpleNamespace(rest=lambda: member.say("rests"), end=lambda: member.say("rests no more"))
    with monkeypatch.context() as changed:
        changed.setattr(process, "_cpu_yield", rests)
        for dispensable in (True, False):
            changed.setattr(process.core.catch_up, "is_dispensable", lambda found=dispensable: found)
            process.give_way()
    member.chapter("A principal counts no more")
    process.watcher.notice(Note("paused", {}))
    process.application.principals.revoke("gateway")
    process.watcher.notice(Note("paused", {}))
    for owner in ("gateway", "learner"):
        member.made["gate#1"].asks(owner)
    member.turn()


def _handed_over(member: Member) -> None:
    member.chapter("Another process goes on with all that")
    carried = member.process.hand_over()
    root, options = member.folder_of_node.root, member.options
    made = build_node(root, member.logger, options, open_ledger, api=member.api, carried=carried)
    assert isinstance(made, Node)
    member.process = made
    made.start()
    made.introduce()
    member.turn(0.1)
    made.publish()
    member.ask("status")
    made.close()
