"""A follower's first question to a peer, and a node that keeps addresses only: every dial and answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import zmq

from dtvn.node import book_node, bootstrap, overlay_port, own_record
from dtvn.node.bootstrap import fetch_genesis, read_place, told
from dtvn.node.keys import dev_seed, peer_id
from dtvn.node.options import NodeOptions, StartError
from dtvn.node.provision import dev_genesis
from dtvn.overlay import AddressValue, book_id, signed_address
from dtvn.overlay.messages import Closest, Rumour, encode
from dtvn.overlay.overlay import Settings
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import link_frame
from tests.golden import Compare
from tests.net.wires import UP, user
from tests.node.telling import Stage, key_of, secret_of

GOLDEN = Path(__file__).parent / "golden"
PLACE = "/ip4/192.0.2.7/tcp/7/p2p/"
GENESIS = g.encode(dev_genesis(2, "192.0.2.9", lambda at: at + 1))


def answer(number: int, code: str, text: str) -> bytes:
    return link_frame(m.Answer(number=number, code=code, text=text))


def test_the_first_question(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stage = Stage(monkeypatch, tmp_path, 1)
    stage.know("node0")
    monkeypatch.setattr(zmq, "Context", lambda: stage)
    monkeypatch.setattr(bootstrap, "time", SimpleNamespace(monotonic=lambda: stage.now / 1e9))

    def fetched(title: str, steps: dict[int, Callable[[], None]], most: int = 40) -> None:
        stage.chapter(title)
        stage.made.clear()
        began, done = stage.now, [0]

        def should_stop() -> bool:
            done[0] += 1
            stage.now += 200_000_000
            if done[0] in steps:
                stage.say(f"{(stage.now - began) / 1e9:g} s")
                steps[done[0]]()
            return done[0] > most

        def say(refused: bool) -> None:
            stage.say(f"{(stage.now - began) / 1e9:g} s: says why, refused {refused}")

        try:
            place = read_place(PLACE + peer_id(key_of("node0")))
            found = fetch_genesis(dev_seed("gateway"), place, should_stop=should_stop, say=say)
            stage.say(f"= {None if found is None else found == GENESIS}")
        except StartError as error:
            stage.say(f"! {error}")

    def newest() -> str:
        return max((name for name in stage.made if name.startswith("dealer")), key=lambda name: int(name[7:]))

    def happens(event: int) -> Callable[[], None]:
        return lambda: stage.made[newest()].happens(event)

    def gets(*frames: bytes) -> Callable[[], None]:
        def act() -> None:
            for each in frames:
                stage.made[newest()].gets(each)

        return act

    right = answer(1, "", msgspec.json.encode(told(GENESIS)).decode())
    fetched(
        "It answers the second time", {2: happens(UP), 9: gets(answer(2, "", "{}"), b"junk"), 10: gets(right)}
    )
    fetched("It refuses this key", {3: happens(zmq.EVENT_HANDSHAKE_FAILED_AUTH)}, most=165)
    for text in ("{", "{}", '{"genesis": "!"}', '{"genesis": "AAAA"}', '{"genesis": 7}'):
        fetched(f"It answers {text}", {1: happens(UP), 2: gets(answer(1, "", text))})
    fetched("It is older", {1: happens(UP), 2: gets(answer(1, "unknown_query", ""))})
    for place in (PLACE, f"{PLACE}junk", "/ip4/192.0.2.7/tcp/7", "junk"):
        try:
            stage.say(f"{place}: {read_place(place)}")
        except StartError as error:
            stage.say(f"{place}! {error}")
    golden(GOLDEN / "first-question.txt", stage.text)


def test_a_node_that_keeps_addresses(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage = Stage(monkeypatch, tmp_path, 2)
    stage.know("book")
    folder = stage.node("book")
    monkeypatch.setattr(zmq, "Context", lambda: stage)
    clock = SimpleNamespace(monotonic_ns=lambda: stage.now, time_ns=lambda: stage.wall)
    for module in (book_node, overlay_port, own_record):
        monkeypatch.setattr(module, "time", clock)
    options = NodeOptions(bind=("127.0.0.1", 7_200), overlay=Settings("book"), is_book=True)
    router: list[Callable[[], None]] = []

    def hears(name: str, of: str, *frames: bytes) -> None:
        def act() -> None:
            stage.say(f"{name} says {len(frames)} frames, {[len(frame) for frame in frames[:3]]} bytes")
            for frame in frames:
                stage.made["router#1"].hears(name.encode(), of, frame)

        router.append(act)

    def rumour(name: str) -> bytes:
        value = AddressValue(name, "member", (("192.0.2.9", 7_000),))
        item = signed_address(stage.cluster, secret_of(name), value, stage.wall // 1_000)
        return link_frame(m.Gossip(encode(Rumour(0, (item,)))))

    question = link_frame(m.Gossip(encode(Closest(1, book_id(key_of("node0"))))))
    first = user(stage.genesis, 0)
    hears("r0", first, rumour("node0"), question)
    hears("rg", "principal/gateway", question)
    hears("rs", "principal/nobody", question)
    hears("r0", first, link_frame(m.Hello(b"")), link_frame(m.Ping(1, False, 0)), b"\x94 junk")
    hears("r0", first, *([b"\x94 junk"] * 16), question)
    hears("r0", first, question)

    def should_stop() -> bool:
        stage.now += 400_000_000
        if not router:
            return True
        router.pop(0)()
        return False

    book_node.run_book(
        folder.root, options, should_stop, lambda beat: stage.say(f"beats {dict(beat)}"), stage.logger
    )
    stage.chapter("Its address is taken")
    taken = NodeOptions(bind=("127.0.0.1", 9), overlay=Settings("book"), is_book=True)
    with pytest.raises(StartError) as refused:
        book_node.BookNode(folder.root, taken, stage.logger)
    stage.say(f"! {refused.value}")
    golden(GOLDEN / "book-node.txt", stage.text)
