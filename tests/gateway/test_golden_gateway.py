"""A gateway told turn by turn: what its thread sends and answers. Links, thread and clock are the story's."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dtvn.events.config import Algorithm, Balancing, ConsensusConfig, LoadBalancerConfig
from dtvn.gateway import Gateway, client
from dtvn.net import LinkCounters, encode_seed, public_key_of
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.epoch_change_proof import EpochChangeProof
from dtvn.protocol.epochs.proofs import EPOCH_CHANGES
from dtvn.protocol.wire import decode_envelope, link_frame
from tests.gateway.support import START, Members, operation
from tests.gateway.telling import of_frame
from tests.gateway.wording import Clock, Wording
from tests.golden import Compare, Telling
from tests.proof.support import PaperLog

GOLDEN = Path(__file__).parent / "golden"
MILLISECOND = 1_000_000
SEED = sha256(b"gateway").digest()


class ScriptedLinks:
    """What a Dialler is for its gateway; the newest one belongs to the story."""

    story: GatewayStory

    def __init__(
        self,
        _context: object,
        genesis: g.Genesis,
        seed: bytes,
        *,
        hello: m.Hello,
        addresses: Mapping[int, tuple[str, int]],
    ) -> None:
        self.arrived: list[tuple[int, bytes]] = []
        self.up: frozenset[int] = frozenset()
        self.failure: Exception | None = None
        self.story.links = self
        key = self.story.words.name(public_key_of(seed))
        self.story.say(f"  dials {self._places(genesis, addresses)} as {key}, {len(hello.client)} bytes")

    def _places(self, genesis: g.Genesis, addresses: Mapping[int, tuple[str, int]]) -> list[str]:
        places = [(member.host, member.port) for member in genesis.members]
        told = (addresses.get(index, place) for index, place in enumerate(places))
        return [f"{each.id} {host}:{port}" for each, (host, port) in zip(genesis.members, told, strict=True)]

    def follow(self, genesis: g.Genesis, addresses: Mapping[int, tuple[str, int]]) -> None:
        self.story.say(f"  follows {self._places(genesis, addresses)}")

    def send(self, member: int, frame: bytes) -> bool:
        self.story.sent.append((member, frame))
        return True

    def poll(self, timeout_ms: int) -> list[tuple[int, bytes]]:
        self.story.say(f"  waits {timeout_ms} ms")
        if self.failure is not None:
            raise self.failure
        arrived, self.arrived = self.arrived, []
        return arrived

    def connected(self) -> frozenset[int]:
        return self.up

    def counters(self) -> dict[int, LinkCounters]:
        return {index: LinkCounters(index + 1) for index in (0, 2, 9)}

    def wake(self) -> None:
        self.story.say("  woken")

    def close(self) -> None:
        self.story.say("  links closed")


class StillThread:
    """A thread that runs only when it is waited for."""

    def __init__(self, target: Any, name: str, daemon: bool) -> None:
        self.target = target

    def start(self) -> None:
        """The story takes the turns."""

    def join(self, _timeout: float) -> None:
        self.target()


class GatewayStory(Telling):
    """A gateway, members on paper, and what passes between them."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.words = Wording()
        self.members = Members(4)
        self.links: ScriptedLinks
        self.sent: list[tuple[int, bytes]] = []
        self.bundles: list[bytes] = []
        self.asked: dict[tuple[int, str], int] = {}
        """Number of the newest question of a kind to a member."""
        self.calls: dict[str, Future[Any]] = {}
        ScriptedLinks.story = self
        self.gateway: Gateway

    @property
    def at(self) -> str:
        return f"{self.clock.elapsed / MILLISECOND:g} ms"

    def turn(self, pause: float = 0, *arrived: tuple[int, bytes], up: set[int] | None = None) -> None:
        """So many milliseconds later, with what has arrived, over links to these members."""
        self.clock.elapsed += round(pause * MILLISECOND)
        self.say(f"{self.at} turn{'' if up is None else f' connected {sorted(up)}'}")
        if up is not None:
            self.links.up = frozenset(up)
        self.links.arrived += arrived
        self.gateway._turn()
        self._tell_sent()
        for name in [name for name, future in self.calls.items() if future.done()]:
            self.say(f"  {name}: {self._result(self.calls.pop(name))}")

    def _tell_sent(self) -> None:
        told: dict[str, list[int]] = {}
        for member, frame in self.sent:
            kind, message = decode_envelope(frame)
            if isinstance(message, m.Query):
                self.asked[member, message.what] = message.number
            if isinstance(message, m.Bundle):
                self.bundles.append(frame)
            is_judge = isinstance(message, m.Judge)
            told.setdefault(f"judge {kind.kind}" if is_judge else of_frame(frame), []).append(member)
        self.sent.clear()
        for words, members in told.items():
            self.say(f"  to {members}: {words}")

    def _result(self, future: Future[Any]) -> str:
        if future.cancelled():
            return "cancelled"
        error = future.exception(0)
        return self.words(future.result(0) if error is None else error)

    def calls_for(self, name: str, *operations: m.Operation, wait: float = 5.0) -> None:
        self.say(f"{self.at} submit {name}")
        self.calls[name] = self.gateway.submit(operations, wait=wait)

    def asks(self, name: str, member: int, what: str, *arguments: str, wait: float = 2.0) -> None:
        self.say(f"{self.at} ask {name}: {member} {what} {list(arguments)}")
        self.calls[name] = self.gateway.query(member, what, arguments, wait=wait)

    def ordered(self, frame: bytes, *members: int) -> list[tuple[int, bytes]]:
        """A bundle is executed; the replies of these members."""
        (item,) = self.members.execute(frame)
        return [(member, self.members.reply(member, item)) for member in members]

    def answer(self, member: int, what: str, fields: object, code: str = "") -> tuple[int, bytes]:
        """Of a member to the newest question of this kind."""
        text = fields if isinstance(fields, str) else json.dumps(fields)
        return member, link_frame(m.Answer(self.asked[member, what], code, text))

    def raises(self, what: Any, *given: Any, **more: Any) -> None:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - its name and sentence are told
            what(*given, **more)
        cause = raised.value.__cause__
        self.say(f"raises {self.words(raised.value)}{f' because of {self.words(cause)}' if cause else ''}")

    def has_ended(self) -> None:
        """How its calls ended, and that it takes no others."""
        for name, future in self.calls.items():
            self.say(f"  {name}: {self._result(future)}")
        self.raises(self.gateway.submit, [operation()])
        self.raises(self.gateway.attend)

    def standing(self) -> None:
        gateway = self.gateway
        self.say(
            f"  stands: {gateway.principal} alive {gateway.alive} quorum {gateway.has_quorum} acknowledged "
            f"{gateway.acknowledged} log time {gateway.log_time and gateway.log_time - START // 1_000} "
            f"epoch {gateway.present.epoch} changes {len(gateway.epoch_changes)} open {gateway._calls_open}"
        )
        for member in gateway.members():
            self.say(f"    {', '.join(self.words.fields(member))}")
        balance = gateway.balance()
        self.say(f"    {balance.metrics}")
        self.say(f"    chosen {balance.chosen}")
        for node in balance.nodes.values():
            self.say(f"      {self.words(node)}")


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayStory]:
    clock = Clock()
    monkeypatch.setattr(client, "time", clock)
    monkeypatch.setattr(client, "Dialler", ScriptedLinks)
    monkeypatch.setattr(threading, "Thread", StillThread)
    monkeypatch.setattr(os, "urandom", lambda size: bytes(range(size)))
    made = GatewayStory(clock)
    yield made
    made.gateway.close()


def test_turns(golden: Compare, story: GatewayStory, monkeypatch: pytest.MonkeyPatch) -> None:
    story.gateway = Gateway(
        story.members.paper.genesis,
        SEED,
        principal="gateway",
        addresses={1: ("elsewhere", 41)},
        calls_max=4,
        balancing=LoadBalancerConfig(algorithm=Balancing.LEAST_CONNECTIONS),
    )
    _calls(story)
    _questions(story)
    _limits(story)
    _runs(story)
    _moves(story)
    _epoch(story)
    _forked(story, monkeypatch)
    story.chapter("The gateway closes")
    story.calls_for("last", operation("L"))
    story.turn()
    story.calls_for("later", operation("M"))
    story.asks("question", 0, "log")
    story.gateway.close()
    story.has_ended()
    story.say(f"  a question: {story.words(story.gateway.query(0, 'log').result(0))}")
    story.gateway.dial({})
    story.gateway.close()
    story.standing()
    golden(GOLDEN / "gateway-turns.txt", story.text)


def _calls(story: GatewayStory) -> None:
    story.chapter("Nobody is reached, then three")
    story.calls_for("lost", operation("A"), operation("B"), wait=9.0)
    story.turn()
    story.turn(2_999.5)
    story.turn(0.5)
    story.standing()
    story.calls_for("one", operation("C"), operation("D"))
    story.turn(10, up={0, 1, 3})
    story.standing()
    story.turn(20, *story.ordered(story.bundles[-1], 0, 1))
    story.turn(20, *story.ordered(story.bundles[-1], 1), (3, b"junk"))
    story.turn(5, story.ordered(story.bundles[-1], 3)[0])
    story.standing()
    story.say(f"links {story.words(story.gateway.links())}")
    story.say(f"entries {[story.gateway.entry(key) for key in ('', 'a', 'b', '')]}")


def _questions(story: GatewayStory) -> None:
    story.chapter("Statuses, and questions of callers")
    story.turn(1_000)
    story.turn(2, story.answer(0, "status", {"view": 0, "sequence": 3, "voting": True}))
    story.turn(3, story.answer(1, "status", {"view": 0, "sequence": 2, "voting": False}), up={0, 1, 2, 3})
    story.turn(4, story.answer(3, "status", {"view": 1, "sequence": 2}))
    story.asks("ticket", 1, "ticket", "T", wait=1.0)
    story.asks("absent", 7, "ticket", "T")
    story.asks("given up", 2, "log")
    story.say(f"  given up: {story.calls['given up'].cancel()}")
    story.asks("late", 3, "log", "5", wait=0.5)
    story.turn(1)
    story.standing()
    story.turn(100, story.answer(1, "ticket", {"state": "new"}))
    story.turn(500)
    story.asks("cut", 2, "log")
    story.turn()
    story.turn(10, up={0, 1, 3})
    story.turn(2_000, up={0, 1, 2, 3})
    story.standing()


def _limits(story: GatewayStory) -> None:
    story.chapter("Calls that are refused, given up before their turn, and too many")
    story.calls_for("empty")
    story.calls_for("large", m.Operation("validate", "default", "X", "gate", "r0", 0, b"", bytes(600_000)))
    story.calls_for("given up", operation("E"))
    story.say(f"  given up: {story.calls['given up'].cancel()}")
    story.calls_for("fourth", operation("F"))
    story.raises(story.gateway.submit, [operation("G")])
    story.turn()
    story.standing()
    story.turn(5, *story.ordered(story.bundles[-1], 0, 2))
    story.standing()


def _runs(story: GatewayStory) -> None:
    story.chapter("A run of agent events: questions go out, and junk comes in as a vote")
    run = story.gateway.events.begin("t", "r")
    story.calls["judged"] = run.judge([b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}'], wait=1.0)
    story.turn(0, (1, link_frame(m.Judged(b"nothing"))))
    story.say(f"refused {story.gateway.events._runs.refused()}")
    story.turn(500)
    story.turn(501)
    story.calls["ended"] = run.end(wait=0.5)
    story.turn()


def _moves(story: GatewayStory) -> None:
    story.chapter("Members are elsewhere")
    story.gateway.dial({"r1": ("elsewhere", 41)})
    story.gateway.dial({"r0": ("moved", 50), "r3": ("moved", 53)})
    story.turn(1, up={0, 1, 2, 3})
    story.turn(1, up={0, 1, 2, 3})


def _epoch(story: GatewayStory) -> None:
    story.chapter("A member tells of the next epoch, and proves it")
    log = PaperLog(4)
    log.change(leaves="r1")
    story.turn(1_500)
    story.asks("lost with the epoch", 3, "log")
    story.turn(0, story.answer(1, "status", {"view": 1, "sequence": 4, "epoch": 1}))
    story.turn(1, story.answer(1, EPOCH_CHANGES, _pages(log.epoch_changes)))
    story.standing()
    story.turn(1, up={0, 2})
    story.turn(1_000)
    story.turn(5, story.answer(0, "status", {"voting": True}), story.answer(2, "status", {"view": 3}))
    story.standing()
    story.turn(4_100)
    story.standing()


def _forked(story: GatewayStory, monkeypatch: pytest.MonkeyPatch) -> None:
    story.chapter("A forked process has a copy of the gateway, which refuses to work")
    gateway, process = story.gateway, os.getpid()
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: process + 1)
        story.say(f"alive {gateway.alive}")
        story.raises(gateway.submit, [operation()])
        story.raises(gateway.attend)
        story.raises(gateway.events.begin("t", "forked").judge, [b"{}"])
        story.say(f"a question: {story.words(gateway.query(0, 'log').result(0))}")
        gateway.close()
    story.say(f"alive {gateway.alive}")


def _pages(proofs: list[EpochChangeProof]) -> list[str]:
    return [base64.b64encode(canonical.encode(each)).decode() for each in proofs]


def test_keys_that_change(golden: Compare, story: GatewayStory, tmp_path: Path) -> None:
    """A gateway from its files, whose key is replaced: with a bundle in flight, at rest, and unreached."""
    genesis, key = tmp_path / "genesis.bin", tmp_path / "gateway.key"
    genesis.write_bytes(g.encode(story.members.paper.genesis))
    story.raises(Gateway.open, genesis, key)
    _write_key(key, b"stranger")
    story.raises(Gateway.open, genesis, key)
    _write_key(key, b"gateway")
    story.gateway = Gateway.open(
        genesis,
        key,
        calls_max=2,
        judging=ConsensusConfig(algorithm=Algorithm.MAJORITY, min_nodes=4),
        balancing=LoadBalancerConfig(algorithm=Balancing.ROUND_ROBIN),
        poll_at_rest=5_000 * MILLISECOND,
    )
    story.standing()
    rule = story.gateway.events.rule()
    story.say(f"rule {rule.algorithm} offered {story.gateway.events.offered()}")
    story.turn(0, up={0, 1, 2, 3})
    story.calls_for("flying", operation("A", nonce=b"a"))
    story.turn()
    story.turn(5, *story.ordered(story.bundles[-1], 1, 2))
    _write_key(key, b"second", wire="gateway#1")
    story.turn(600)
    story.calls_for("held", operation("B", nonce=b"b"))
    story.raises(story.gateway.submit, [operation("C")])
    story.turn(100)
    story.turn(1_900, up={0, 1, 2, 3})
    story.turn(1, up={0, 1, 2, 3})
    for pause in (1_000, 1, 1):
        story.turn(pause, *story.ordered(story.bundles[-1], 0, 3))
    story.standing()
    story.chapter("At rest, and unreached while a next key exists")
    story.turn(15_000, up={0, 1, 2, 3})
    _write_key(key, b"gateway")
    story.turn(600)
    _write_key(tmp_path / "gateway.key.next", b"third", wire="gateway#2")
    story.turn(600, up=set())
    story.turn(3_100, up=set())
    story.turn(600, up={0, 1})
    story.say(f"files {sorted(path.name for path in tmp_path.iterdir())}")
    for _second in range(12):
        story.turn(1_000, up={0, 1, 2, 3})
    story.standing()
    story.chapter("The thread fails")
    story.calls_for("cut", operation("D"))
    story.turn()
    story.asks("question", 0, "log")
    story.calls["run"] = story.gateway.events.begin("t", "r").judge([b"{}"])
    story.links.failure = OSError(5, "the links broke")
    story.gateway._run()
    story.has_ended()
    story.say(f"alive {story.gateway.alive}")
    golden(GOLDEN / "gateway-keys.txt", story.text.replace(str(tmp_path), "FOLDER"))


def _write_key(path: Path, name: bytes, wire: str = "") -> None:
    """The key of this name replaces the file, which is another one to who watches it."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(encode_seed(sha256(name).digest(), wire))
    new.chmod(0o600)
    new.replace(path)
