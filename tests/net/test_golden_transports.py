"""All links of a member and of a follower: whom they dial, hear and send to, over epochs."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from dtvn.net import RelayTransport, ZmqTransport, curve_public
from dtvn.net.links import Links
from dtvn.node.keys import dev_seed
from dtvn.node.provision import dev_genesis
from dtvn.protocol.consensus.effects import ALL, ReplyTo, Send
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.wire import link_frame
from tests.golden import Compare
from tests.net.linking import bulk, counted, key_of, vote
from tests.net.wires import DOWN, FOR_EVER, UP, Wire, Wires, user

GOLDEN = Path(__file__).parent / "golden"


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
    wires.chapter("It gets its next key, and dials with it everybody who is not connected")
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
    left = Peer(name=f"relay/{key_of('relay').hex()[:16]}", member=4)
    follower.inbox.put(left, bulk("of who is left: its slot gets another"), wires.now)
    for owner in ("relay", "node1", "node2", "node3", "child"):
        follower.hang_up(key_of(owner))
        here.tell(f"without {owner}")
    wires.say(f"{len(follower.inbox)} frames wait")
    wires.say(f"dialled again: {follower.dial(key_of('relay'), ('192.0.2.70', 70))}")
    wires.say(f"dialled again: {follower.dial(key_of('node1'), ('192.0.2.71', 71))}")
    here.tell("dialled again")
    follower.follow(members[:3])
    here.tell("with a member less")
