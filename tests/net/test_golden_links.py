"""What links ask of ZeroMQ, and what they make of what it tells: every socket, option, frame and counter."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from msgspec.structs import asdict, replace

from dtvn.net import (
    DialledLink,
    Dialler,
    LinkCounters,
    NoAnswer,
    QuestionLinks,
    RelayTransport,
    ZmqTransport,
    curve_keys,
    curve_public,
    public_key_of,
    questions,
)
from dtvn.net import acceptor as acceptor_module
from dtvn.net.acceptor import Acceptor
from dtvn.net.links import Links
from dtvn.node.keys import dev_seed
from dtvn.node.provision import dev_genesis
from dtvn.protocol.consensus.effects import ALL, ReplyTo, Send
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.wire import link_frame
from dtvn.protocol.wire.envelope import encode_envelope
from tests.golden import Compare
from tests.net.wires import DOWN, FOR_EVER, UP, Wire, Wires, user

GOLDEN = Path(__file__).parent / "golden"
MEMBERS = ("node0", "node1", "node2", "node3")


def vote(text: str) -> bytes:
    return encode_envelope(17, text.encode(), b"")


def bulk(text: str) -> bytes:
    return encode_envelope(1, text.encode(), b"")


def key_of(owner: str) -> bytes:
    return public_key_of(dev_seed(owner))


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Wires:
    made = Wires(monkeypatch)
    made.know(*MEMBERS, "node0 again", "gateway", "relay", "child", "another")
    return made


def counted(counters: LinkCounters) -> str:
    """Those that are not zero."""
    return ", ".join(f"{name} {value}" for name, value in asdict(counters).items() if value) or "nothing"


# --- one dialled link ------------------------------------------------------------------------------


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


# --- the listening side ----------------------------------------------------------------------------


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


# --- transports ------------------------------------------------------------------------------------


class Station:
    """A transport, and all that it tells."""

    def __init__(self, wires: Wires, transport: Links) -> None:
        self.wires, self.transport = wires, transport
        self.router, self.gate = wires.made["router#1"], wires.made["gate#1"]

    def link(self, index: int) -> Wire:
        """The socket of a dialled link."""
        return self.transport._links[index].socket  # type: ignore[return-value]

    def turn(self, seconds: float = 0.0) -> None:
        """One turn of a loop: wait, receive, and tell what came."""
        self.wires.now += int(seconds * 1e9)
        self.transport.wait(3_500_000)
        for item in self.transport.receive(8):
            peer = item.peer
            key = self.transport.key_of(peer)
            owner = "nobody's key" if key is None else self.wires.shown(curve_public(key))
            at = item.taken / 1e9 - 1_700_000_000
            self.wires.say(
                f"taken of {peer.name} ({peer.member}, {owner}) at {at:g}: {self.wires.shown(item.frame)}"
            )

    def up(self, *indices: int) -> None:
        for index in indices:
            self.link(index).happens(UP)
        self.turn()

    def hears(self, route: bytes, user: str, *frames: bytes) -> None:
        for frame in frames:
            self.router.hears(route, user, frame)
        self.turn()

    def asked(self, *owners: str) -> None:
        for owner in owners:
            self.gate.asks(owner)
        self.turn()

    def tell(self, what: str) -> None:
        t = self.transport
        self.wires.say(f"{what}: at {t.address}, {t.endpoint}, port {t.local_port}, {t.queues()}")
        self.wires.say(f"  strangers {t.strangers}, malformed {t.malformed}, dials {sorted(t._links)}")
        peers = [f"{self.wires.shown(curve_public(key))} {peer}" for key, peer in t.peers_up().items()]
        self.wires.say(f"  up: {'; '.join(peers) or 'nobody'}")
        if isinstance(t, ZmqTransport):
            self.wires.say(f"  connected {t.connected()}, addresses {t.addresses()}")
            told = {name: counted(counters) for name, counters in t.counters().items()}
            for name, each in told.items():
                if each != "nothing":
                    self.wires.say(f"  {name}: {each}")
            self.wires.say(f"  nothing of {', '.join(name for name in told if told[name] == 'nothing')}")
        elif isinstance(t, RelayTransport):
            self.wires.say(f"  connected {t.connected()}, indices {t.up()}, listens {t.listens}")


def test_links_of_a_member(golden: Compare, wires: Wires) -> None:
    genesis = dev_genesis(4, "192.0.2.9", lambda index: 7_000 + index)
    wires.chapter("The second of four dials the two after it")
    member = ZmqTransport(
        wires,  # type: ignore[arg-type]
        genesis,
        1,
        dev_seed("node1"),
        bind=("127.0.0.1", 7_001),
        addresses={3: ("2001:db8::3", 9)},
    )
    here = Station(wires, member)
    here.tell("at first")
    here.asked("node0", "node2", "another", "gateway", "node1")
    here.gate.asks("node0", domain=b"other")
    here.gate.asks("node0", mechanism=b"PLAIN")
    here.gate.gets(b"1.0", b"short")
    here.turn()
    wires.chapter("Links come up, and frames go both ways")
    here.up(2, 3)
    hello = link_frame(Hello(b""))
    here.hears(b"r0", user(genesis, 0), hello, vote("of the first"))
    here.hears(b"rg", "principal/gateway", link_frame(Hello(b"client-1")), bulk("of a gateway"))
    here.link(2).gets(vote("of the third"))
    here.link(3).gets(bulk("bulk of the fourth"))
    here.link(3).gets(vote("of the fourth"))
    here.turn()
    _member_sends(here, member)
    _member_in_another_epoch(here, member, genesis)
    _members_next_key(here, member)
    member.close()
    golden(GOLDEN / "links-of-a-member.txt", wires.text)


def _member_sends(here: Station, member: ZmqTransport) -> None:
    member.send(Send(to=ALL, frame=vote("for all")))
    member.send(Send(to=2, frame=vote("for the third")))
    member.send(Send(to=0, frame=vote("for the first")))
    for client in (b"client-1", b"client-2"):
        member.reply(ReplyTo(principal="gateway", client=client, frame=bulk("a reply")))
    for peer in (
        Peer(name="gateway", member=None, route=b"rg"),
        Peer(name="gateway", member=None, route=b"r0"),
        Peer(name="node2", member=2),
        Peer(name="node0", member=0),
        Peer(name="relay", member=None),
    ):
        member.answer(peer, bulk(f"an answer for {peer.name}"))
    here.router.full = {b"r0"}
    here.link(2).room = 0
    member.send(Send(to=ALL, frame=vote("some wait")))
    here.tell("some are full")
    here.turn()
    here.router.full = set()
    here.link(2).room = FOR_EVER
    here.turn()
    here.link(3).happens(DOWN)
    here.router.happens(DOWN, ord("0"))
    here.turn()
    member.send(Send(to=ALL, frame=vote("only one is there")))
    here.tell("two are gone")
    here.up(3)
    for name, address in (
        ("node1", ("192.0.2.1", 1)),
        ("node0", ("192.0.2.2", 2)),
        ("node2", ("192.0.2.3", 3)),
        ("node3", ("2001:db8::3", 9)),
    ):
        member.redial(name, address)
    here.tell("others have moved")


def _member_in_another_epoch(here: Station, member: ZmqTransport, genesis: Genesis) -> None:
    wires = here.wires
    wires.chapter("Another epoch: the first has a new key, the third has left, and the fourth has moved")
    here.link(3).gets(vote("it came before"))
    here.transport.inbox.put(Peer(name="node3", member=3), vote("it waits"), wires.now, 7)
    members = genesis.members
    following = replace(
        genesis,
        members=(
            members[1],
            replace(members[0], public_key=key_of("another")),
            replace(members[3], host="192.0.2.33", port=33),
        ),
    )
    for index, seed, bind in (
        (0, "node1", ("127.0.0.1", 7_001)),
        (0, "node1", ("127.0.0.1", 7_002)),
        (0, "another", ("127.0.0.1", 7_001)),
        (0, "node1", None),
    ):
        wires.say(f"keeps {seed} {bind}: {member.keeps(following, index, dev_seed(seed), bind)}")
    member.follow(following, 0, {2: ("192.0.2.34", 34)})
    refused = member.admit({"gateway": key_of("gateway"), "node0": key_of("child"), "old": bytes(32)})
    wires.say(f"without a key: {refused}")
    here.turn()
    here.asked("another", "node0", "node2", "node3", "gateway", "child")
    here.hears(b"r0", user(genesis, 0), vote("its former key is not heard"))
    here.hears(b"ra", user(following, 1), link_frame(Hello(b"")), vote("its new one is"))
    here.hears(b"rc", "principal/node0", link_frame(Hello(b"")), bulk("a namesake"))
    member.send(Send(to=ALL, frame=vote("in the new epoch")))
    here.tell("in the new epoch")
    member.admit({"relay": key_of("relay")})
    here.hears(b"rg", "principal/gateway", bulk("admitted no more"))
    here.tell("the gateway is admitted no more")


def _members_next_key(here: Station, member: ZmqTransport) -> None:
    wires = here.wires
    wires.chapter("A next key of its own: it dials with it whoever is not connected")
    genesis = dev_genesis(3, "192.0.2.9", lambda index: 7_000 + index)
    member.follow(genesis, 1)
    member.admit({})
    here.tell("the first epoch again")
    for seed in (None, dev_seed("node0 again"), dev_seed("relay"), None):
        member.dial_with_next_key(seed)
        wires.say(
            f"spare {[link.spare and wires.shown(link.spare.public) for link in member._links.values()]}"
        )
        here.tell(f"dialled with {'no' if seed is None else 'a'} next key")
    member.dial_with_next_key(dev_seed("node0 again"))
    member.redial("node0", ("192.0.2.44", 44))
    here.up(0)
    member.send(Send(to=0, frame=vote("by the link that it dialled")))
    here.hears(b"rb", user(genesis, 0), link_frame(Hello(b"")))
    member.dial_with_next_key(dev_seed("node0 again"))
    here.tell("the first has dialled")


def test_a_member_behind_a_splice_and_one_without_an_address(golden: Compare, wires: Wires) -> None:
    genesis = dev_genesis(2, "localhost", lambda index: 7_000 + index)
    for index, bind, local in ((1, None, False), (1, ("192.0.2.77", 5), True), (1, ("127.0.0.1", 0), False)):
        wires.chapter(f"bind {bind}, local {local}")
        wires.made.clear()
        made = ZmqTransport(wires, genesis, index, dev_seed("node1"), bind=bind, local=local)  # type: ignore[arg-type]
        Station(wires, made).tell("it listens")
        for name in ("a DNS name", "192.0.2.250"):
            wires.say(f"keeps {name}: {made.keeps(genesis, index, dev_seed('node1'), (name, 5))}")
        made.close()
    golden(GOLDEN / "addresses-of-a-member.txt", wires.text)


def test_links_of_a_follower(golden: Compare, wires: Wires) -> None:
    genesis = dev_genesis(3, "192.0.2.9", lambda index: 7_000 + index)
    wires.chapter("It dials one of three members, and listens")
    follower = RelayTransport(
        wires,  # type: ignore[arg-type]
        dev_seed("gateway"),
        genesis.members,
        spare=dev_seed("node0 again"),
        listen=("127.0.0.1", 7_100),
        wanted={key_of("node1")},
    )
    here = Station(wires, follower)
    here.tell("at first")
    for seed, spare, listen in (
        ("gateway", "node0 again", ("127.0.0.1", 7_100)),
        ("relay", "node0 again", ("127.0.0.1", 7_100)),
        ("gateway", "relay", ("127.0.0.1", 7_100)),
        ("gateway", "node0 again", None),
    ):
        kept = follower.keeps(dev_seed(seed), dev_seed(spare), listen)
        wires.say(f"keeps {seed}, {spare}, {listen}: {kept}")
    _relays(here, follower)
    _children(here, follower, genesis)
    _follower_in_another_epoch(here, follower, genesis)
    follower.close()
    wires.chapter("One that does not listen dials all")
    wires.made.clear()
    other = RelayTransport(wires, dev_seed("gateway"), genesis.members)  # type: ignore[arg-type]
    other.admit({"child": key_of("child")})
    other.hang_up(key_of("node1"))
    there = Station(wires, other)
    there.up(0, 1, 2)
    wires.say(f"listens {other.listens}, linked {other.connected()}, {len(other.dialled_up())} keys")
    other.close()
    golden(GOLDEN / "links-of-a-follower.txt", wires.text)


def _relays(here: Station, follower: RelayTransport) -> None:
    wires = here.wires
    for owner, address in (
        ("relay", ("192.0.2.50", 50)),
        ("another", ("192.0.2.51", 51)),
        ("relay", ("192.0.2.50", 50)),
        ("relay", ("192.0.2.52", 52)),
        ("node2", ("192.0.2.53", 53)),
        ("node1", ("192.0.2.54", 54)),
        ("node1", ("192.0.2.54", 54)),
    ):
        wires.say(f"dialled {owner} at {address}: {follower.dial(key_of(owner), address)}")
    wires.say(f"no key: {follower.dial(bytes(32), ('192.0.2.55', 55))}")
    here.up(1, 3)
    here.link(1).gets(vote("of a member"))
    here.link(3).gets(bulk("of a relay"))
    here.turn()
    follower.send(Send(to=ALL, frame=bulk("for all that it dialled")))
    follower.send(Send(to=0, frame=bulk("for one that it does not dial")))
    follower.send(Send(to=3, frame=bulk("for the relay")))
    follower.answer(Peer(name="relay", member=3), bulk("an answer"))
    follower.reply(ReplyTo(principal="child", client=b"", frame=bulk("it has no clients")))
    here.tell("some are up")
    owners = ("node0", "node1", "relay", "another", "child")
    wires.say(f"dialled: {[owner for owner in owners if follower.has_dialled(key_of(owner))]}")
    wires.say(f"index: {[follower.index_of(key_of(owner)) for owner in owners]}")
    wires.say(f"up: {[wires.shown(curve_public(key)) for key in follower.dialled_up()]}")


def _children(here: Station, follower: RelayTransport, genesis: Genesis) -> None:
    wires = here.wires
    wires.chapter("Who may connect: not itself, nor who has no key")
    names = {"child": "child", "self": "gateway", "spare": "node0 again"}
    follower.admit({name: key_of(owner) for name, owner in names.items()} | {"old": bytes(32)})
    here.asked("child", "gateway", "node0 again", "node0", "relay")
    here.hears(b"rc", "principal/child", link_frame(Hello(b"")), bulk("of a child"))
    here.hears(b"r0", user(genesis, 0), link_frame(Hello(b"")), bulk("of a member that dialled it"))
    follower.answer(Peer(name="principal/child", member=None, route=b"rc"), bulk("an answer"))
    follower.answer(Peer(name="child", member=None, route=b"rc"), bulk("not its name"))
    here.tell("they are here")


def _follower_in_another_epoch(here: Station, follower: RelayTransport, genesis: Genesis) -> None:
    wires = here.wires
    wires.chapter("Another epoch: a relay has become a member, the first member left, the others move")
    members = (
        genesis.members[2],
        replace(genesis.members[1], host="192.0.2.61", port=61),
        replace(genesis.members[0], id="node9", public_key=key_of("another"), host="192.0.2.62", port=62),
        replace(genesis.members[0], id="node8", public_key=key_of("node3"), host="192.0.2.63", port=63),
    )
    follower.inbox.put(Peer(name="node1", member=1), vote("it waits"), wires.now, 7)
    follower.follow(members)
    follower.admit({"child": key_of("child")})
    here.tell("in another epoch")
    here.turn()
    here.asked("node0", "another", "node3")
    here.hears(b"r0", user(genesis, 0), bulk("it is a member no more"))
    wires.say(f"members {[member.id for member in follower.members]}")
    here.link(4).gets(bulk("of the relay in its new slot"))
    here.turn()
    wires.chapter("It hangs up")
    for owner in ("relay", "node1", "node2", "node3", "child"):
        follower.hang_up(key_of(owner))
        here.tell(f"without {owner}")
    wires.say(f"dialled again: {follower.dial(key_of('relay'), ('192.0.2.70', 70))}")
    wires.say(f"dialled again: {follower.dial(key_of('node1'), ('192.0.2.71', 71))}")
    here.tell("dialled again")
    follower.follow(members[:3])
    here.tell("with a member less")


# --- a gateway -------------------------------------------------------------------------------------


def test_links_of_a_gateway(golden: Compare, wires: Wires) -> None:
    genesis = dev_genesis(3, "192.0.2.9", lambda index: 7_000 + index)
    dialler = Dialler(
        wires,  # type: ignore[arg-type]
        genesis,
        dev_seed("gateway"),
        hello=Hello(b"client-1"),
        addresses={1: ("2001:db8::1", 1)},
    )
    sockets = [wires.made[f"dealer#{number}"] for number in (1, 2, 3)]

    def poll() -> None:
        frames = dialler.poll(20)
        wires.say(f"= {[(index, wires.shown(frame)) for index, frame in frames]}")

    def tell() -> None:
        wires.say(f"  connected {sorted(dialler.connected())}")
        for index, counters in dialler.counters().items():
            wires.say(f"  {index}: {counted(counters)}")

    poll()
    wires.say(f"sent {dialler.send(0, bulk('too early'))}")
    for index in (0, 2):
        sockets[index].happens(UP)
    poll()
    sockets[2].room = 0
    for index in range(3):
        wires.say(f"sent to {index}: {dialler.send(index, bulk(f'for {index}'))}")
    for index in (2, 0):
        sockets[index].gets(bulk(f"of {index}"))
        sockets[index].gets(vote(f"of {index}"))
    poll()
    sockets[2].room = FOR_EVER
    poll()
    tell()
    wires.chapter("It is woken")
    for _time in range(2):
        dialler.wake()
    poll()
    poll()
    _gateway_in_another_epoch(wires, dialler, genesis)
    poll()
    tell()
    counters = dialler.counters()
    counters[0].connects += 9
    wires.say(f"copies: {dialler.counters()[0].connects != counters[0].connects}")
    for seconds in (1.1, 5.0, 1.0, 4.1, 4.9, 0.2, 0.9):
        wires.pass_seconds(seconds)
        poll()
    dialler.close()
    golden(GOLDEN / "links-of-a-gateway.txt", wires.text)


def _gateway_in_another_epoch(wires: Wires, dialler: Dialler, genesis: Genesis) -> None:
    wires.chapter("Another epoch: one left, one moved, one came")
    members = (
        replace(genesis.members[2], port=7_777),
        genesis.members[1],
        replace(genesis.members[0], id="node3", public_key=key_of("node3")),
    )
    dialler.follow(replace(genesis, members=members), {1: ("2001:db8::1", 1)})


# --- questions -------------------------------------------------------------------------------------


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
