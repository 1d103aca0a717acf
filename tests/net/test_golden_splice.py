"""A splice, its listeners and their diallers, in memory and in a time that passes at once: every frame, port,
line and figure."""

from __future__ import annotations

import asyncio
import errno
import random
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from dtvn.net import splice_listener
from dtvn.net.splice import CONTROL_WAITING_MAX, Limits, PortBook, Splice
from dtvn.net.splice_listener import SpliceListener
from dtvn.net.splice_pipe import Stream, join
from dtvn.net.splice_report import SpliceReport
from dtvn.net.splice_wire import (
    Body,
    Challenge,
    Data,
    Declined,
    Hello,
    Open,
    Ping,
    Pong,
    Register,
    Registered,
    connecting,
    decoded,
    encoded,
    granting,
    read_frame,
    registering,
)
from dtvn.protocol.scheme import ED25519
from tests.golden import Compare, Telling
from tests.net.splices import GREETING, NODE, OTHER, SEED, STRANGER, key_of, secret_of
from tests.net.still import Side, connection, passes, play
from validators.management.commands.splice import Command

GOLDEN = Path(__file__).parent / "golden"
Arrived = Callable[[Any, Any], Awaitable[None]]
OWNERS = {key_of(NODE): "node", key_of(OTHER): "other", key_of(STRANGER): "stranger", key_of(SEED): "splice"}


class Server:
    def __init__(self, world: World, port: int) -> None:
        self._world, self._port = world, port
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.200", self._port

    def close(self) -> None:
        self._world.say(f"port {self._port} is closed")
        self._world.ports.pop(self._port, None)


class World(Telling):
    """All ports that somebody listens at, and the tasks of connections to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.ports: dict[int, Arrived] = {}
        self.taken: set[int] = set()
        self.tasks: list[asyncio.Future[Any]] = []
        drawn = iter(range(1, 250))
        monkeypatch.setattr(secrets, "token_bytes", lambda size: bytes([next(drawn)]) * size)
        monkeypatch.setattr(random, "uniform", lambda _low, _high: 0.75)
        monkeypatch.setattr(asyncio, "start_server", self._serve)
        monkeypatch.setattr(splice_listener, "connect", self._connect)

    async def _serve(self, arrived: Arrived, host: str, port: int, **options: Any) -> Server:
        self.say(f"listens at {host}:{port}, {options}")
        if port in self.taken:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.ports[port] = arrived
        return Server(self, port)

    def dials(self, port: int, address: str = "192.0.2.7") -> Side:
        """Somebody's side of a connection to a port."""
        if port not in self.ports:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        dialling, listening = connection(address)
        coroutine = cast(Coroutine[Any, Any, None], self.ports[port](listening.reader, listening))
        self.tasks.append(asyncio.ensure_future(coroutine))
        self.last = listening
        return dialling

    async def _connect(self, host: str, port: int) -> Stream:
        self.say(f"a listener connects to {host}:{port}")
        dialling = self.dials(port, "192.0.2.50")
        return Stream(dialling.reader, cast(Any, dialling))

    async def passes(self, seconds: float) -> None:
        await passes(seconds)
        self.say(f"({seconds:g} s later)")

    async def heard(self, side: Side, what: str) -> None:
        """All that a side has got by now, and whether the other one has ended."""
        await passes(0.001)
        data = bytes(side.reader._buffer)  # type: ignore[attr-defined]
        side.reader._buffer.clear()  # type: ignore[attr-defined]
        self.say(f"{what} heard {frames(data)}{', and the end' if side.reader.at_eof() else ''}")


def frames(data: bytes) -> str:
    """Frames of a splice, or other bytes as they are."""
    told = []
    while len(data) > 2:
        size = int.from_bytes(data[:2], "big")
        try:
            body = decoded(data[2 : 2 + size])
        except Exception:  # noqa: BLE001 - not a frame
            return repr(data[:40])
        told.append(shown(body))
        data = data[2 + size :]
    return "; ".join(told) or repr(data)


def shown(body: Body) -> str:
    values = [
        OWNERS.get(value, value[:2].hex()) if isinstance(value, bytes) else value
        for value in msgspec.structs.astuple(body)
    ]
    return f"{type(body).__name__}{tuple(values)}"


class Bench:
    """A splice that knows two nodes."""

    def __init__(self, world: World, **limits: Any) -> None:
        self.world = world
        self.allowed = {key_of(NODE): 0, key_of(OTHER): 0}
        self.splice = Splice(
            SEED,
            PortBook(100, 103),
            lambda: self.allowed,
            public="192.0.2.1",
            limits=Limits(**limits),
            tell=lambda text: world.say(f"splice: {self._named(text)}"),
        )

    @staticmethod
    def _named(text: str) -> str:
        for key, name in OWNERS.items():
            text = text.replace(key.hex(), name)
        return text

    def figures(self) -> None:
        made = self.splice
        listening = {OWNERS[key]: port for key, port in made.registered.items()}
        self.world.say(f"figures {made.figures}, {listening}, {made.splices} splices")

    async def register(
        self,
        seed: bytes,
        *,
        wanted: int = 0,
        forge: Callable[[Register], Body] = lambda register: register,
        address: str = "192.0.2.50",
    ) -> Side:
        """A registration by hand; what it gets is told."""
        side = self.world.dials(7, address)
        side.write(encoded(Hello(b"h" * 32)))
        challenge = await read_frame(side.reader)
        assert isinstance(challenge, Challenge)
        said = registering(key_of(SEED), challenge.nonce, b"h" * 32, key_of(seed), wanted)
        register = Register(key_of(seed), wanted, ED25519.sign(secret_of(seed), said))
        side.write(encoded(forge(register)))
        await self.world.heard(side, f"{OWNERS[key_of(seed)]} (wants {wanted})")
        return side

    async def back(self, token: bytes, seed: bytes) -> Side:
        """A connection back with a token."""
        side = self.world.dials(7, "192.0.2.50")
        signed = ED25519.sign(secret_of(seed), connecting(key_of(SEED), key_of(seed), token))
        side.write(encoded(Data(token, signed)))
        return side


async def token_of(control: Side) -> bytes:
    while True:
        frame = await read_frame(control.reader)
        if isinstance(frame, Open):
            return frame.token


async def registered(world: World) -> None:
    """Who registers, and who is refused."""
    bench = Bench(world)
    world.say(f"port {await bench.splice.begin('192.0.2.200', 7)}")
    first = await bench.register(NODE)
    await bench.register(OTHER, wanted=103)
    world.chapter("Refused")
    await bench.register(STRANGER)
    for changes in ({"key": key_of(NODE)}, {"wanted": 7}, {"signature": bytes(64)}):
        await bench.register(
            OTHER,
            forge=lambda register, changes=changes: msgspec.structs.replace(register, **changes),  # type: ignore[misc]
        )
    await bench.register(OTHER, forge=lambda _register: Pong())
    for words in (encoded(Ping()), b"\0\0", b"\xff\xff", b"\0\x01\x63", b""):
        side = world.dials(7)
        side.write(words)
        await world.heard(side, f"who says {words!r}")
    await world.passes(5.0)
    bench.figures()
    world.chapter("It begins again, and has the port that its operator wants")
    bench.allowed[key_of(NODE)] = 102
    again = await bench.register(NODE)
    await world.heard(first, "its first life")
    world.taken.add(103)
    await bench.register(OTHER)
    bench.figures()
    world.chapter("All ports belong to others; nobody answers pings")
    for seed in (b"1" * 32, b"2" * 32, b"3" * 32):
        OWNERS[key_of(seed)] = seed[:1].decode()
        bench.allowed[key_of(seed)] = 0
        await bench.register(seed, address=f"198.51.100.{seed[0]}")
    await world.passes(6.1)
    await world.heard(again, "the node")
    bench.figures()
    await bench.splice.close()


async def dialled(world: World) -> None:
    """Diallers, connections back, and tokens."""
    bench = Bench(world)
    await bench.splice.begin("192.0.2.200", 7)
    control = await bench.register(NODE)
    world.chapter("A dialler is announced, and joined with the connection back")
    dialler = world.dials(100)
    dialler.write(GREETING + b"more")
    token = await token_of(control)
    for seed in (OTHER, NODE, NODE):
        side = await bench.back(token, seed)
        await world.heard(side, f"a connection back of {OWNERS[key_of(seed)]}")
        if seed == NODE and not side.reader.at_eof():
            joined = side
    joined.write(b"an answer")
    dialler.write(b"a question")
    await world.heard(dialler, "the dialler")
    await world.heard(joined, "the node")
    bench.figures()
    dialler.close()
    await world.heard(joined, "the node")
    await passes(2.1)
    bench.figures()
    world.chapter("Diallers that are not joined")
    for words in (b"GET / HTTP/1.1\r\n", b"\xff" + bytes(9), bytes(9) + b"\x7f", GREETING[:9]):
        side = world.dials(100)
        side.write(words)
        await world.heard(side, f"who says {words!r}")
        side.close()
    side = world.dials(100)
    side.write(GREETING)
    control.write(encoded(Declined(b"x" * 32)))
    control.write(encoded(Declined(await token_of(control))))
    await world.heard(side, "a dialler whom the node declines")
    side = world.dials(100)
    side.write(GREETING[:9])
    await passes(1.0)
    control.write(encoded(Pong()))
    await passes(4.1)
    control.write(encoded(Pong()))
    await world.heard(side, "a slow dialler")
    side = world.dials(100)
    side.write(GREETING)
    await passes(3.0)
    control.write(encoded(Pong()))
    await passes(2.1)
    await world.heard(side, "one to whom nobody connects back")
    bench.figures()
    world.chapter("A frame that does not belong here")
    control.write(encoded(Ping()))
    await world.heard(control, "the node")
    bench.figures()
    await bench.splice.close()


async def bounded(world: World) -> None:
    """Bounds of connections, failures, bytes and time."""
    bench = Bench(world, splices=3, splices_a_key=2, splices_an_address=1, handshakes=8, heartbeat=100.0)
    await bench.splice.begin("192.0.2.200", 7)
    for seed in (NODE, OTHER):
        await bench.register(seed)
    for port, address in (
        *((100, "192.0.2.7"), (100, "192.0.2.7"), (100, "192.0.2.8"), (100, "192.0.2.9"), (101, "192.0.2.9")),
        *((101, "192.0.2.10"), (101, "2001:db8::1"), (101, "2001:db8::2")),
    ):
        await world.heard(world.dials(port, address), f"{address} at {port}")
    bench.figures()
    world.chapter("Of one address at most a quarter of the handshakes")
    for _count in range(3):
        await world.heard(world.dials(7), "one more at the port of registrations")
    for number in range(7):
        world.dials(7, f"198.51.100.{number}")
    await world.heard(world.dials(7, "203.0.113.1"), "one more of another address")
    bench.figures()
    await passes(5.1)
    bench.figures()
    await bench.splice.close()
    world.chapter("Failures and dials that run out, and come back with time")
    bench = Bench(world, failures_burst=2.0, failures_a_second=0.5, dials_burst=2.0, dials_a_second=0.5)
    await bench.splice.begin("192.0.2.200", 8)
    world.ports[7] = world.ports[8]
    control = await bench.register(NODE)
    for seconds in (0.0, 0.0, 0.0, 2.1, 0.0):
        await passes(seconds)
        side = world.dials(7)
        side.write(encoded(Ping()))
        await world.heard(side, f"failing after {seconds:g} s")
        await world.heard(world.dials(100, "192.0.2.8"), f"dialling after {seconds:g} s")
    control.write(encoded(Pong()))
    bench.figures()
    await bench.splice.close()
    world.chapter("A listener that does not read what it is told")
    bench = Bench(world)
    await bench.splice.begin("192.0.2.200", 7)
    await bench.register(NODE)
    slow = world.last
    for waiting in (CONTROL_WAITING_MAX, CONTROL_WAITING_MAX + 1):
        slow.waiting = waiting
        side = world.dials(100)
        side.write(GREETING)
        await world.heard(side, f"a dialler while {waiting} bytes wait")
    await passes(2.1)
    bench.figures()
    await bench.splice.close()


async def listened(world: World) -> None:
    """The node's side."""
    bench = Bench(world)
    reports: list[SpliceReport] = []

    def report(said: SpliceReport) -> None:
        world.say(f"reports {said} at {asyncio.get_running_loop().time() - 1_000:.2f}")
        reports.append(said)

    listener = SpliceListener(("192.0.2.200", 7), key_of(SEED), NODE, report)
    world.chapter("Nobody is there; the pauses grow")
    running = asyncio.ensure_future(listener.run())
    await passes(12.0)
    await bench.splice.begin("192.0.2.200", 7)
    await passes(5.0)
    world.chapter("Its node does not listen yet, then does")
    side = world.dials(100)
    side.write(GREETING)
    await world.heard(side, "a dialler")
    listener.local_port = 5_000
    side = world.dials(100)
    side.write(GREETING)
    await world.heard(side, "a dialler while the node's port is closed")
    world.ports[5_000] = echo
    side = world.dials(100)
    side.write(GREETING + b"hello")
    await world.heard(side, "a dialler")
    await world.passes(20.0)
    bench.figures()
    world.chapter("The splice ends, and begins again")
    await bench.splice.close()
    world.ports.pop(7, None)
    await passes(3.0)
    bench = Bench(world)
    await bench.splice.begin("192.0.2.200", 7)
    await passes(3.0)
    world.chapter("It is allowed no more")
    del bench.allowed[key_of(NODE)]
    await passes(3.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await bench.splice.close()


async def echo(reader: asyncio.StreamReader, writer: Any) -> None:
    """A node that sends back what it gets."""
    while data := await reader.read(1_000):
        writer.write(data)
    writer.close()


async def lied_to(world: World) -> None:
    """It registers with peers that behave unlike a splice, or that have the key of another one."""
    for name, answers in (
        ("is silent", [None]),
        ("hangs up", [b""]),
        ("says something else", [encoded(Ping())]),
        ("grants something else", [encoded(Challenge(b"c" * 32)), encoded(Ping())]),
        ("is another one", [encoded(Challenge(b"c" * 32)), encoded(Registered("192.0.2.9", 9, bytes(64)))]),
        ("sends odd frames afterwards", [encoded(Challenge(b"c" * 32)), b"right", encoded(Pong())]),
        ("falls silent afterwards", [encoded(Challenge(b"c" * 32)), b"right", encoded(Ping()), None]),
    ):
        world.chapter(f"One that {name}")

        async def serve(reader: Any, writer: Any, answers: Any = answers) -> None:
            hello = await read_frame(reader)
            for answer in answers:
                if answer is None:
                    await passes(60.0)
                elif answer == b"right":
                    said = granting(b"c" * 32, hello.nonce, key_of(NODE), "", 77)  # type: ignore[attr-defined]
                    writer.write(encoded(Registered("", 77, ED25519.sign(secret_of(SEED), said))))
                else:
                    writer.write(answer)
            writer.close()

        world.ports[7] = serve
        listener = SpliceListener(
            ("192.0.2.200", 7), key_of(SEED), NODE, lambda said: world.say(f"reports {said}"), wanted=5
        )
        running = asyncio.ensure_future(listener.run())
        await passes(6.5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def piped(world: World) -> None:
    """Two connections that are joined: until one ends, both are silent, or for as long as one paces them."""
    loop = asyncio.get_running_loop()

    async def joined(what: str, act: Callable[[Side, Side], Awaitable[None]], **options: Any) -> None:
        (one, left), (other, right) = connection("a"), connection("b")
        streams = [Stream(each.reader, cast(Any, each)) for each in (left, right)]
        began = loop.time()
        joining = asyncio.ensure_future(join(*streams, **{"idle": 10.0} | options))
        await act(one, other)
        passed = await joining
        world.say(f"{what}: {passed} bytes in {loop.time() - began:.3f} s, {left.ended}, {right.ended}")
        world.say(f"  got {bytes(one.reader._buffer)[:9]!r} and {bytes(other.reader._buffer)[:9]!r}")  # type: ignore[attr-defined]

    async def ends(one: Side, other: Side) -> None:
        one.write(b"from one")
        other.write(b"from the other")
        await passes(1.0)
        other.close()

    async def is_idle(one: Side, _other: Side) -> None:
        await passes(9.0)
        one.write(b"late")

    async def is_paced(one: Side, _other: Side) -> None:
        for _piece in range(3):
            one.write(b"x" * 70_000)
            await passes(0.001)
        one.close()

    async def hangs(one: Side, other: Side) -> None:
        one._peer.set_exception(ConnectionResetError("reset"))
        del other

    await joined("one ends", ends)
    await joined("both are silent", is_idle)
    await joined("paced", is_paced, pace=lambda count: count / 100_000)
    await joined("reset", hangs)
    (one, left), (_other, right) = connection("a"), connection("b")
    right.hangs = True
    streams = [Stream(each.reader, cast(Any, each)) for each in (left, right)]
    one.close()
    began = loop.time()
    await join(*streams, idle=10.0)
    world.say(f"one does not close: {loop.time() - began:g} s, {left.ended}, {right.ended}")


@pytest.mark.parametrize("story", [registered, dialled, bounded, listened, lied_to, piped])
def test_a_splice(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, story: Callable[[World], Coroutine[Any, Any, None]]
) -> None:
    world = World(monkeypatch)

    async def whole() -> None:
        await story(world)
        for task in world.tasks:
            task.cancel()
        await asyncio.gather(*world.tasks, return_exceptions=True)

    play(whole())
    golden(GOLDEN / f"splice-{story.__name__.replace('_', '-')}.txt", world.text)


def test_the_command_says_each_line_at_once(tmp_path: Path) -> None:
    """Its output is often a file or a pipe, where its key and address are waited for."""
    with (tmp_path / "said").open("w", encoding="utf-8") as out:
        Command(stdout=out)._say("It listens.\n")
        assert (tmp_path / "said").read_text(encoding="utf-8") == "It listens.\n"
