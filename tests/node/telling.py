"""One process of the network over sockets, a clock and an asker that do what a test says."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import zmq
from nacl import bindings

from dtvn.net import dialled, encode_seed, public_key_of
from dtvn.node import build, discovery, learning
from dtvn.node.api_helper import ApiHelper
from dtvn.node.asker import Heard, Talk
from dtvn.node.keys import dev_seed
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.metrics import ApiFigures
from dtvn.node.provision import api_principal, dev_genesis
from dtvn.overlay.messages import decode
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope, FrameSigner
from tests.net.wires import Wires

LINE_MAX = 240
DRAWN = frozenset({"pid", "memory", "processor_seconds", "monotonic_seconds", "incarnation", "storage_stats"})
"""What a status says of the machine, or of the database below it."""


def key_of(owner: str) -> bytes:
    """Public key of development."""
    return public_key_of(dev_seed(owner))


def secret_of(owner: str) -> bytes:
    """The 64-byte secret key."""
    return bindings.crypto_sign_seed_keypair(dev_seed(owner))[1]


class Asked:
    """An asker that tells what it is asked, and hears what a test says."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self.heard: list[Heard] = []
        self.busy = False

    def ask(self, talk: Talk) -> None:
        who = self._wires.owner(talk.key)
        said = [type(decode(body)).__name__ for body in talk.bodies]
        self._wires.say(f"asks {who} at {list(talk.places)}: {', '.join(said)} ({talk.answers} answers)")

    def take(self) -> list[Heard]:
        found, self.heard = self.heard, []
        return found

    def end(self) -> None:
        self._wires.say("asks no more")

    close = end


class Lines(logging.Handler):
    """Tells what is logged."""

    def __init__(self, wires: Wires) -> None:
        super().__init__()
        self._wires = wires

    def emit(self, record: logging.LogRecord) -> None:
        self._wires.say(f"log {record.levelname}: {record.getMessage()}")


class Api:
    """Tells what a process publishes to its API."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.figures = ApiFigures()

    def publish(self, fields: Mapping[str, Any]) -> None:
        self._stage.say("to the API:")
        self._stage.fields(fields)


class Stage(Wires):
    """Folder, sockets and clock of one process in a cluster whose keys are those of development."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, data: Path, members: int) -> None:
        super().__init__(monkeypatch)
        self._data = str(data)
        self.folder = ClusterFolder(data)
        self.genesis = dev_genesis(members, "192.0.2.9", lambda index: 7_000 + index)
        self.cluster = g.cluster_id(self.genesis)
        self.asked = Asked(self)
        self.know(*(member.id for member in self.genesis.members), "gateway", "learner")
        self.logger = logging.Logger("told", logging.INFO)
        self.logger.addHandler(Lines(self))
        self.api = cast(ApiHelper, Api(self))
        context = SimpleNamespace(Context=lambda: self, ZMQError=zmq.ZMQError, Socket=zmq.Socket)
        monkeypatch.setattr(build, "zmq", context)
        monkeypatch.setattr(learning, "zmq", context)
        monkeypatch.setattr(discovery, "Asker", lambda _keys: self.asked)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(time, "time_ns", lambda: self.wall)
        monkeypatch.setattr(time, "time", lambda: self.wall / 1e9)
        for name, milliseconds in (("HEARTBEAT_TIMEOUT_MS", 600), ("FOLLOWER_TIMEOUT_MS", 1_400)):
            monkeypatch.setattr(dialled, name, milliseconds)
        monkeypatch.setattr(secrets, "SystemRandom", lambda: Random(1))
        self.closed = False
        self.tells_polls = False

    def say(self, line: str) -> None:
        super().say(re.sub(r'"pid":\d+', '"pid":...', line.replace(self._data, "DATA")))

    def node(self, name: str) -> NodeFolder:
        """The folder of a node with the key of that name, and the genesis."""
        made = self.folder.node(name)
        made.create()
        for path, owner in ((made.key, name), (made.api_key, api_principal(name))):
            path.write_bytes(encode_seed(dev_seed(owner)))
            path.chmod(0o600)
        made.genesis.write_bytes(g.encode(self.genesis))
        return made

    def signed(self, name: str, message: Any) -> bytes:
        """The frame of what a principal or a member says."""
        return FrameSigner(self.cluster, secret_of(name), None).sign(message)  # type: ignore[arg-type]

    def answer(self, ask: Callable[[m.Query], m.Answer], what: str, *arguments: str) -> None:
        """Ask a question, and tell the answer whole."""
        answer = ask(m.Query(7, what, arguments))
        self.say(f"{what}{arguments}: {answer.number} {answer.code or 'ok'}")
        if answer.text:
            self.fields(msgspec.json.decode(answer.text))

    def fields(self, found: Any, indent: str = "  ") -> None:
        """A mapping, a field a line."""
        if not isinstance(found, Mapping):
            self.say(f"{indent}{found}")
            return
        for name, value in found.items():
            if name in DRAWN:
                value = sorted(value) if isinstance(value, dict) else "..."
            if name == "counters":
                value = {each: count for each, count in value.items() if count}
            if isinstance(value, list) and value and isinstance(value[0], dict):
                for each in value:
                    self.say(f"{indent}{name}:")
                    self.fields(each, f"{indent}  ")
            else:
                self.say(f"{indent}{name} {value}"[:LINE_MAX])

    def shown(self, data: object) -> str:
        """A frame by its message's name."""
        if isinstance(data, bytes) and len(data) > 2 and data[0] == 0x94:
            envelope = canonical.decode(Envelope, data)
            if (kind := m.KINDS.get(envelope.kind)) is not None:
                return _told(canonical.decode(kind, envelope.body))
        return super().shown(data)


def _told(message: Any) -> str:
    return (
        f"{type(message).__name__}({', '.join(_value(value) for value in msgspec.structs.astuple(message))})"
    )


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return repr(value) if len(value) <= 8 else f"{value[:4].hex()}+{len(value) - 4}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, msgspec.Struct):
        return _told(value)
    return repr(value)
