"""What a dialled link asks of ZeroMQ, and what it makes of what it tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import zmq

from dtvn.net import DialledLink, curve_keys, curve_public
from dtvn.node.keys import dev_seed
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.wire import link_frame
from tests.golden import Compare
from tests.net.linking import bulk, counted, key_of, vote
from tests.net.wires import DOWN, FOR_EVER, UP, Wire, Wires

GOLDEN = Path(__file__).parent / "golden"


def test_a_dialled_link(golden: Compare, wires: Wires) -> None:
    wires.chapter("A link is dialled; what is sent before it is up is dropped")
    link = DialledLink(
        wires,  # type: ignore[arg-type]
        curve_keys(dev_seed("node0")),
        server_key=curve_public(key_of("node1")),
        endpoint="tcp://192.0.2.1:1",
        hello=link_frame(Hello(b"")),
    )

    def tell() -> None:
        wires.say(
            f"  ready {link.ready}, to {link.endpoint}, {len(link.outbound)} wait; {counted(link.counters)}"
        )

    def happens(*events: int) -> None:
        for event in events:
            link.socket.happens(event)  # type: ignore[operator]
        link.attend()
        tell()

    wires.say(f"sent {link.send(vote('too early'))}")
    tell()
    wires.chapter("It comes up, and fills")
    happens(UP)
    _fills(wires, link)
    tell()
    wires.chapter("Frames arrive, of which it reads some")
    socket: Wire = link.socket  # type: ignore[assignment]
    for frames in ([b"one"], [b"a", b"b", b"two"], [b"three"], [b"four"]):
        socket.gets(*frames)
    wires.say(f"{link.receive(3)} and then {link.receive()} and then {link.receive()}")
    tell()
    wires.chapter("It is lost with what waits")
    socket.room = 0
    link.send(vote("stale"))
    happens(DOWN)
    happens(DOWN)
    _rebuilt(wires, link, happens, tell)
    golden(GOLDEN / "dialled-link.txt", wires.text)


def _fills(wires: Wires, link: DialledLink) -> None:
    socket: Wire = link.socket  # type: ignore[assignment]
    socket.room = 1
    for frame in (bulk("first"), bulk("second"), vote("urgent"), bulk("third")):
        wires.say(f"sent {link.send(frame)}, {len(link.outbound)} wait")
    for room in (2, 0, FOR_EVER):
        socket.room = room
        link.flush()
        wires.say(f"with room for {room}: {len(link.outbound)} wait")


def _rebuilt(wires: Wires, link: DialledLink, happens: Callable[..., None], tell: Callable[[], None]) -> None:
    wires.chapter("It is made anew when it is down for longer than five seconds")
    for seconds in (5.0, 1e-9, 5.0):
        wires.pass_seconds(seconds)
        happens()
    wires.chapter("Handshakes fail in three ways")
    for event in (
        zmq.EVENT_HANDSHAKE_FAILED_AUTH,
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    ):
        happens(event)
    wires.chapter("A new address is dialled at once, or after the link that works is lost")
    link.redial("tcp://192.0.2.2:2")
    tell()
    happens(UP)
    link.redial("tcp://[2001:db8::1]:3")
    tell()
    wires.pass_seconds(60)
    happens(DOWN)
    wires.pass_seconds(5.1)
    happens()
    wires.chapter("A spare key is used in turn")
    link.spare = curve_keys(dev_seed("node0 again"))
    for seconds in (2.0, 0.1, 2.1, 2.1):
        wires.pass_seconds(seconds)
        happens()
    link.spare = None
    link.redial("tcp://a b:4")
    tell()
    wires.chapter("It is up, and closed")
    happens(UP)
    link.close()
    tell()
    wires.chapter("A follower's has other heartbeats")
    DialledLink(
        wires,  # type: ignore[arg-type]
        curve_keys(dev_seed("gateway")),
        server_key=curve_public(key_of("node1")),
        endpoint="tcp://192.0.2.1:1",
        hello=link_frame(Hello(b"")),
        follower=True,
    )
