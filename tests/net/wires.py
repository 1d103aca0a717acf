"""ZeroMQ as a script: sockets that tell what is done with them, and get what a test says."""

from __future__ import annotations

import errno
import select
import struct
from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from zmq.utils import z85

from dtvn.net import (
    counters,
    curve_keys,
    curve_public,
    dial,
    dialled,
    links,
    public_key_of,
    questions,
)
from dtvn.node.keys import dev_seed
from dtvn.protocol import canonical
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.wire import Envelope
from tests.golden import Telling

START = 1_700_000_000
"""Unix seconds at which a story begins."""
KINDS: dict[int, str] = {zmq.DEALER: "dealer", zmq.ROUTER: "router", zmq.REP: "gate"}
ENVELOPE = 0x94
FOR_EVER = 1_000_000
UP, DOWN = zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_DISCONNECTED


def user(genesis: Genesis, index: int) -> str:
    """User-Id of a member's connection."""
    member = genesis.members[index]
    return f"member/{member.id}/{member.public_key.hex()[:16]}"


class Head:
    """The first frame of what a ROUTER receives: the route, and whose connection it is."""

    def __init__(self, route: bytes, user: str, descriptor: int) -> None:
        self.bytes, self._user, self._descriptor = route, user, descriptor

    def get(self, what: object) -> object:
        return {"User-Id": self._user, zmq.SRCFD: self._descriptor}[what]


class Wires(Telling):
    """The context of all sockets, and their clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.now = 50_000_000_000
        self.made: dict[str, Wire] = {}
        self.tells_polls = True
        self.names: dict[object, str] = {}
        self.usual: dict[str, dict[str, object]] = {}
        """Kind of sockets -> options of the last one."""
        clock = SimpleNamespace(
            monotonic_ns=lambda: self.now,
            time_ns=lambda: self.wall,
            time=lambda: self.wall / 1e9,
            monotonic=lambda: self.now / 1e9,
        )
        for module in (counters, dial, dialled, links, questions):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(zmq, "Poller", lambda: Poller(self))

    @property
    def wall(self) -> int:
        """Unix nanoseconds."""
        return START * 1_000_000_000 + self.now

    def know(self, *owners: str) -> None:
        """Tell the keys of these by name."""
        for owner in owners:
            key = public_key_of(dev_seed(owner))
            self.names[key] = self.names[curve_public(key)] = f"key of {owner}"
            self.names[curve_keys(dev_seed(owner)).secret] = f"secret of {owner}"

    def owner(self, key: bytes) -> str:
        """Whose public key this is."""
        return self.names.get(key, key.hex()[:8])

    def destroy(self, linger: int) -> None:
        """As a context's."""
        self.say(f"the context ends, lingering {linger}")

    def socket(self, kind: int) -> Wire:
        return self.make(KINDS[kind])

    def make(self, kind: str) -> Wire:
        number = sum(name.startswith(f"{kind}#") for name in self.made) + 1
        made = self.made[f"{kind}#{number}"] = Wire(self, f"{kind}#{number}")
        return made

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)
        self.say(f"({seconds:g} s later)")

    def refused(self, what: Callable[[], object]) -> None:
        """What this raises."""
        try:
            self.say(f"= {what()}")
        except (ValueError, zmq.ZMQError) as error:
            self.say(f"! {type(error).__name__}: {error}")

    def shown(self, data: object) -> str:
        """A frame or an option's value."""
        if data in self.names:
            return self.names[data]
        if isinstance(data, bytes) and len(data) > 2 and data[0] == ENVELOPE:
            envelope = canonical.decode(Envelope, data)
            return f"[{envelope.kind} {envelope.body!r}]"
        return repr(data)


class Wire:
    """One socket. A test sets `room` (frames that it takes), `full` and `gone` (routes)."""

    OWN = (
        "wires",
        "name",
        "options",
        "incoming",
        "rest",
        "room",
        "full",
        "gone",
        "routed",
        "monitor",
        "told",
    )

    def __init__(self, wires: Wires, name: str) -> None:
        self.wires, self.name = wires, name
        self.options: dict[str, object] = {}
        self.incoming: deque[list[Any]] = deque()
        self.rest: list[Any] = []
        self.room = FOR_EVER
        self.full: set[bytes] = set()
        self.gone: set[bytes] = set()
        self.routed = b""
        self.monitor: Wire | None = None

    def __setattr__(self, name: str, value: object) -> None:
        if name in Wire.OWN:
            object.__setattr__(self, name, value)
        else:
            self.options[name] = value

    def say(self, what: str) -> None:
        self.wires.say(f"{self.name} {what}")

    def _options(self) -> str:
        """Those that differ from the ones of the last socket of its kind."""
        kind = self.name.partition("#")[0]
        before = self.wires.usual.get(kind, {})
        self.wires.usual[kind] = dict(self.options)
        told = [
            f"{name} {self.wires.shown(value)}"
            for name, value in sorted(self.options.items())
            if name not in before or before[name] != value
        ]
        told += [f"without {name}" for name in before if name not in self.options]
        return ", ".join(told) or "the same options"

    # --- what the product does ---------------------------------------------------------------------

    def setsockopt(self, option: int, value: object) -> None:
        self.options[zmq.SocketOption(option).name.lower()] = value

    def getsockopt_string(self, _option: int) -> str:
        return str(self.options.get("last_endpoint", ""))

    def get(self, option: int) -> int:
        if option == zmq.RCVMORE:
            return int(bool(self.rest))
        return self.events()

    def get_monitor_socket(self, events: int) -> Wire:
        self.monitor = Wire(self.wires, f"monitor of {self.name}")
        names = sorted(str(each.name) for each in zmq.Event if each & events == each)
        self.options["watched for"] = "|".join(names)
        return self.monitor

    def disable_monitor(self) -> None:
        self.say("is watched no more")

    def bind(self, endpoint: str) -> None:
        self.say(f"listens at {endpoint} with {self._options()}")
        self.options["last_endpoint"] = endpoint.replace("*", "40001").replace("0.0.0.0", "192.0.2.200")  # noqa: S104 - a text
        if endpoint.endswith(":9"):
            raise zmq.ZMQError(zmq.EADDRINUSE)

    def connect(self, endpoint: str) -> None:
        self.say(f"dials {endpoint} with {self._options()}")
        if " " in endpoint:
            raise zmq.ZMQError(errno.EINVAL)

    def send(self, data: bytes, flags: int = 0) -> None:
        more, block = bool(flags & zmq.SNDMORE), not flags & zmq.NOBLOCK
        if more:
            if data in self.full:
                raise zmq.Again
            if data in self.gone:
                raise zmq.ZMQError(zmq.EHOSTUNREACH)
            self.routed = data
            return
        if self.room == 0:
            raise zmq.Again
        self.room -= 1
        to = f" to {self.routed!r}" if self.routed else ""
        self.routed = b""
        self.say(f"sends{to} {self.wires.shown(data)}{' and would wait' if block else ''}")

    def send_multipart(self, frames: Sequence[bytes], _flags: int = 0) -> None:
        self.say(f"sends {' | '.join(map(self.wires.shown, frames))}")

    def recv(self, _flags: int = 0, *, copy: bool = True) -> Any:
        del copy
        if not self.rest:
            if not self.incoming:
                raise zmq.Again
            self.rest = list(self.incoming.popleft())
        return self.rest.pop(0)

    def recv_multipart(self, flags: int = 0, *, copy: bool = True) -> list[Any]:
        del copy
        frames = [self.recv(flags)]
        while self.rest:
            frames.append(self.recv(flags))
        return frames

    def poll(self, timeout: int) -> int:
        """Whether a frame waits; if none does, the time passes."""
        found = self.events() & zmq.POLLIN
        if not found:
            self.wires.now += timeout * 1_000_000
        return found

    def close(self, linger: int) -> None:
        self.say(f"is closed, lingering {linger}")

    # --- what a test does --------------------------------------------------------------------------

    def events(self) -> int:
        """As a poll sees it."""
        return (zmq.POLLIN if self.incoming or self.rest else 0) | (zmq.POLLOUT if self.room else 0)

    def gets(self, *frames: bytes) -> None:
        """A message of these frames arrives."""
        self.incoming.append(list(frames))

    def hears(self, route: bytes, user: str, *frames: bytes, descriptor: int = 0) -> None:
        """The same at a ROUTER, from somebody's connection."""
        self.incoming.append([Head(route, user, descriptor or route[-1]), *frames])

    def happens(self, event: int, descriptor: int = 0) -> None:
        """The monitor tells of an event."""
        assert self.monitor is not None
        self.monitor.gets(struct.pack("=hi", event, descriptor), b"tcp://somewhere")

    def asks(self, owner: str, *, domain: bytes = b"dtvn", mechanism: bytes = b"CURVE") -> None:
        """A handshake under the key of an owner arrives at the gatekeeper."""
        key = z85.decode(curve_public(public_key_of(dev_seed(owner))))
        self.gets(b"1.0", owner.encode(), domain, b"192.0.2.7", b"", mechanism, key)


class Poller:
    """Looks at the sockets that are registered, and tells which these are when that has changed."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._registered: dict[Any, int] = {}
        self._told = ""

    def register(self, socket: Any, events: int) -> None:
        self._registered[socket] = events

    def unregister(self, socket: Any) -> None:
        del self._registered[socket]

    def poll(self, timeout: int) -> list[tuple[Any, int]]:
        wanted = ("", "reads", "writes", "reads and writes")
        told = ", ".join(
            f"{wanted[events]} {each.name if isinstance(each, Wire) else 'wakes'}"
            for each, events in self._registered.items()
        )
        if self._wires.tells_polls:
            self._wires.say(f"polls for {timeout} ms{'' if told == self._told else f': {told}'}")
        self._told = told
        found = []
        for each, events in self._registered.items():
            ready = each.events() & events if isinstance(each, Wire) else _readable(each)
            if ready:
                found.append((each, ready))
                if not isinstance(each, Wire):
                    self._wires.say("it is woken")
        return found


def _readable(descriptor: int) -> int:
    return zmq.POLLIN if select.select([descriptor], [], [], 0)[0] else 0
