"""Questions to nodes: what is asked, answered, and given up."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from dtvn.net import NoAnswer, QuestionLinks, questions
from dtvn.node.keys import dev_seed
from tests.golden import Compare
from tests.net.linking import key_of
from tests.net.wires import Wire, Wires

GOLDEN = Path(__file__).parent / "golden"


class Said:
    """A frame with the name that the gatekeeper gave its sender, "" for none."""

    def __init__(self, data: bytes, name: str) -> None:
        self.bytes, self._name = data, name

    def get(self, _what: str) -> str:
        if not self._name:
            raise zmq.ZMQError(errno.EINVAL)
        return self._name


def test_questions_and_answers(golden: Compare, wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq, "Context", lambda: wires)
    started: list[Any] = []

    def thread(**named: Any) -> Any:
        started.append(named)
        return SimpleNamespace(start=lambda: wires.say("a thread starts"), join=lambda: wires.say("it ends"))

    threads = SimpleNamespace(Lock=threading.Lock, Event=threading.Event, Thread=thread)
    monkeypatch.setattr(questions, "threading", threads)
    peers = {
        "b": (key_of("node1"), "192.0.2.1", 1),
        "a": (key_of("node2"), "2001:db8::2", 2),
    }
    known = QuestionLinks(dev_seed("node0"), peers)
    wires.say(f"active {known.active()}")

    def ask(name: str, *answers: bytes, number: int = 0) -> None:
        if number:
            for answer in answers:
                wires.made[f"dealer#{number}"].gets(b"", answer)
        began = wires.now
        try:
            wires.say(f"{name} answers {known.ask(name, b'a question', 0.25)!r}")
        except NoAnswer as error:
            wires.say(f"! {error}, after {(wires.now - began) / 1e9:g} s")

    wires.chapter("Asking")
    ask("nobody")
    ask("b")
    made, dealers = wires.make, iter((b"yes", b"", b"from another one"))

    def make(kind: str) -> Wire:
        socket = made(kind)
        if kind == "dealer":
            socket.gets(b"", next(dealers))
        return socket

    monkeypatch.setattr(wires, "make", make)
    ask("b")
    ask("b", b"again", number=2)
    ask("a")
    ask("b")
    monkeypatch.setattr(wires, "make", made)
    _answering(wires, known, started)
    ask("b")
    golden(GOLDEN / "questions.txt", wires.text)


def _answering(wires: Wires, known: QuestionLinks, started: list[Any]) -> None:
    wires.chapter("Answering")
    with pytest.raises(OSError, match="already in use"):
        known.serve("127.0.0.1", 9, lambda _name, _body: b"")

    def answer(name: str, body: bytes) -> bytes:
        wires.say(f"  {name} asks {body!r}")
        if body == b"a mistake":
            raise ValueError("no")
        if body == b"the last one":
            known._closing.set()
        return b"for " + name.encode()

    known.serve("::1", 7, answer)
    router, gate = wires.made["router#2"], wires.made["gate#2"]
    for owner in ("node1", "node2", "node0"):
        gate.asks(owner)
    for name, body in (("b", b"one"), ("", b"of nobody"), ("a", b"a mistake"), ("b", b"the last one")):
        router.incoming.append([Said(b"route", ""), Said(b"", ""), Said(body, name)])
    router.incoming.insert(1, [Said(b"route", ""), Said(b"two frames", "b")])
    [run] = started
    wires.say(f"{run['name']}, daemon {run['daemon']}")
    run["target"](*run["args"])
    known.close()
