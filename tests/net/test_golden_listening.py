"""What the listening side hears, keeps and sends: every route, owner, frame and counter."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq

from dtvn.net import acceptor as acceptor_module
from dtvn.net import curve_keys
from dtvn.net.acceptor import Acceptor
from dtvn.node.keys import dev_seed
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.wire import link_frame
from dtvn.protocol.wire.envelope import encode_envelope
from tests.golden import Compare
from tests.net.linking import bulk, counted, vote
from tests.net.wires import DOWN, FOR_EVER, Wires

GOLDEN = Path(__file__).parent / "golden"


class Listening:
    """An acceptor that knows two members and a gateway, and all that its socket hears and says."""

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self.users = {
            "member/a": Peer(name="a", member=0),
            "member/b": Peer(name="b", member=2),
            "principal/gateway": Peer(name="gateway", member=None),
        }
        self.acceptor = Acceptor(
            wires,  # type: ignore[arg-type]
            curve_keys(dev_seed("node1")),
            self.users,
            self._arrived,
        )
        self.router = wires.made["router#1"]
        self.routes: list[bytes] = []

    def _arrived(self, peer: Peer, frame: bytes) -> None:
        self.wires.say(f"arrived of {peer.name} ({peer.member}) by {peer.route!r}: {self.wires.shown(frame)}")

    def hears(self, route: bytes, user: str, *frames: bytes, descriptor: int = 0) -> None:
        self.router.hears(route, user, *frames, descriptor=descriptor)
        if route not in self.routes:
            self.routes.append(route)
        self.acceptor.read()

    def greeted(self, route: bytes, user: str, client: bytes = b"", descriptor: int = 0) -> None:
        self.hears(route, user, link_frame(Hello(client)), descriptor=descriptor)

    def ended(self, *events: tuple[int, int]) -> None:
        for event, descriptor in events:
            self.router.happens(event, descriptor)
        self.acceptor.attend()
        self.tell("after " + ", ".join(f"{zmq.Event(event).name} {value}" for event, value in events))

    def send(self, route: bytes, frame: bytes) -> None:
        self.wires.say(
            f"queued for {route!r}: {self.acceptor.send(route, frame)}, waiting {self.acceptor.waiting} "
            f"({self.acceptor.frames_waiting()})"
        )

    def tell(self, what: str) -> None:
        """Everything that it knows."""
        a = self.acceptor
        self.wires.say(f"{what}: malformed {a.malformed}, {a.frames_waiting()} wait")
        self.wires.say(f"  owners {' '.join(f'{r.decode()}:{a.owner(r)}' for r in self.routes)}")
        names = ("a", "b", "c", "gateway", "nobody")
        self.wires.say(f"  newest {' '.join(f'{name}:{a.route_of(name)!r}' for name in names)}")
        self.wires.say(f"  live {a.live()}")
        clients = (b"", b"client-1", b"client-2", b"abc")
        found = [f"{n} {c.decode()}:{a.client_route(n, c)!r}" for n in names for c in clients]
        self.wires.say(f"  clients {', '.join(each for each in found if not each.endswith('None'))}")
        for name, counters in a.counters.items():
            self.wires.say(f"  {name}: {counted(counters)}")


def test_the_listening_side(golden: Compare, wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor_module, "ROUTES_MAX", 4)
    here = Listening(wires)
    for endpoint in ("tcp://127.0.0.1:7", "tcp://[::1]:7", "tcp://127.0.0.1:9"):
        wires.refused(lambda at=endpoint: here.acceptor.listen(at))  # type: ignore[misc]
    wires.chapter("Who says what")
    here.hears(b"r1", "member/a", bulk("a question before any Hello"))
    here.greeted(b"r1", "member/a")
    here.hears(b"r1", "member/a", vote("a"))
    here.hears(b"r2", "stranger", vote("not known"))
    here.hears(b"r1", "member/a", vote("in"), vote("parts"))
    here.hears(b"r1", "member/a", b"\x94")
    here.hears(b"r1", "member/a", b"")
    for body in (b"\x91\xc4\x03abc", b"\x90", b"\x91\xc4\x00 "):
        here.hears(b"r1", "member/a", encode_envelope(73, body, b""))
    here.greeted(b"r3", "principal/gateway", b"client-1")
    here.greeted(b"r4", "principal/gateway", b"client-2")
    here.greeted(b"r4", "principal/gateway", b"client-2")
    here.tell("they are here")
    wires.chapter("Frames go out, wait, and are dropped")
    _frames_out(here)
    wires.chapter("Connections end, and descriptors are used again")
    here.ended((DOWN, ord("3")), (zmq.EVENT_ACCEPTED, ord("3")))
    here.ended((zmq.EVENT_ACCEPTED, ord("4")), (DOWN, ord("4")))
    here.hears(b"r4", "principal/gateway", bulk("it lives"))
    here.tell("it lived")
    _crowded(here)
    _other_epochs(here)
    here.acceptor.close()
    golden(GOLDEN / "listening-side.txt", wires.text)


def _frames_out(here: Listening) -> None:
    here.send(b"r9", vote("to nobody"))
    here.send(b"r1", vote("at once"))
    here.router.full = {b"r1", b"r3"}
    for frame in (bulk("later"), vote("sooner")):
        here.send(b"r1", frame)
    here.send(b"r3", bulk("waits"))
    here.send(b"r4", bulk("has room"))
    here.acceptor.attend()
    here.router.full = {b"r3"}
    here.acceptor.attend()
    here.tell("r1 has room again")
    here.router.full = set()
    here.router.gone = {b"r3"}
    here.acceptor.attend()
    here.tell("r3 is gone")
    here.router.gone = set()
    here.greeted(b"r3", "principal/gateway", b"client-1")
    here.router.room = 0
    here.send(b"r4", bulk("half accepted"))
    here.router.room = FOR_EVER
    here.acceptor.attend()
    here.tell("all is sent")


def _crowded(here: Listening) -> None:
    here.wires.chapter("At most four connections: a dead one goes, else the oldest of who has most")
    here.greeted(b"r5", "member/b")
    here.ended((DOWN, ord("5")))
    here.hears(b"r6", "principal/gateway", bulk("it did not say Hello"))
    here.tell("the dead one is forgotten")
    here.greeted(b"r7", "member/b")
    here.tell("the oldest of the gateway is")
    here.router.full = {b"r7"}
    here.send(b"r7", bulk("for b"))
    here.greeted(b"r7", "member/a")
    here.tell("r7 has another owner")
    here.router.full = set()


def _other_epochs(here: Listening) -> None:
    here.wires.chapter("Many frames at once")
    for number in range(260):
        here.router.hears(b"r7", "member/a", vote(f"{number}" if number in (0, 255, 256, 259) else ""))
    lines = len(here.wires.lines)
    here.wires.say(f"read {here.acceptor.read()}, then {here.acceptor.read()}, then {here.acceptor.read()}")
    told = [line for line in here.wires.lines[lines:] if not line.endswith("b'']")]
    here.wires.lines[lines:] = told
    here.wires.chapter("Others may connect: a has another name, and b is not among them")
    here.acceptor.allow(
        {
            "member/a": Peer(name="c", member=3),
            "principal/gateway": Peer(name="gateway", member=None),
        }
    )
    here.tell("others may connect")
    here.hears(b"r6", "principal/gateway", bulk("still known"))
    here.hears(b"r7", "member/b", bulk("known no more"))
    here.hears(b"r7", "member/a", bulk("under another name"))
    here.wires.chapter("Another epoch")
    here.acceptor.forget_former({"member/b": Peer(name="b", member=1)})
    here.tell("a new epoch")
    here.greeted(b"r8", "member/b")
    here.hears(b"r8", "member/b", vote("in the new epoch"))
    here.tell("b is here")
