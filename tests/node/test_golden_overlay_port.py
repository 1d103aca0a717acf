"""Between links and overlay, and whom a follower dials: every call that either side gets, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nacl import bindings

from dtvn.net import RelayTransport
from dtvn.node import overlay_port, own_record, relay_dialling
from dtvn.node.bootstrap import Place
from dtvn.node.overlay_port import NoDialling, OverlayPort
from dtvn.node.own_record import OwnRecord
from dtvn.node.relay_dialling import RelayDialling
from dtvn.overlay.overlay import Settings
from dtvn.overlay.records import AddressValue, address_of, signed_address
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Member
from dtvn.sync import Item
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
CLUSTER = b"c" * 32
NAMES = ("own", "member", "relay", "leaf", "stranger", "far")
PAIRS = {name: bindings.crypto_sign_seed_keypair(name.encode().ljust(32)) for name in NAMES}
KEYS = {name: public for name, (public, _secret) in PAIRS.items()}
SECOND = 1_000_000_000
WALL = 1_790_000_000 * SECOND


def named(key: bytes) -> str:
    return next((name for name, known in KEYS.items() if known == key), key.hex()[:8])


def record(name: str, role: Any, *places: tuple[str, int]) -> Item:
    return signed_address(CLUSTER, PAIRS[name][1], AddressValue(name, role, places), WALL // 1_000)


class Script(Telling):
    """The overlay, the links and the dialling of a port, which tell what they are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 10 * SECOND
        self.up: dict[bytes, Peer] = {}
        self.dialled: set[bytes] = set()
        self.can_dial = True
        self.sends: list[tuple[bytes, bytes]] = []
        self.hang_ups: list[bytes] = []
        self.dials: list[Item] = []
        self.due = 0
        self.checks = 77
        self.book = SimpleNamespace(own_version=0)

    # --- links ------------------------------------------------------------------------------------

    def key_of(self, peer: Peer) -> bytes | None:
        return KEYS.get(peer.name)

    def peers_up(self) -> dict[bytes, Peer]:
        return dict(self.up)

    # --- dialling ---------------------------------------------------------------------------------

    def dial(self, key: bytes, address: tuple[str, int]) -> bool:
        self.say(f"  dial {named(key)} at {address}")
        if self.can_dial:
            self.dialled.add(key)
        return self.can_dial

    def hang_up(self, key: bytes) -> None:
        self.say(f"  hang up on {named(key)}")
        self.dialled.discard(key)

    def has_dialled(self, key: bytes) -> bool:
        return key in self.dialled

    def uses(self) -> Iterable[bytes]:
        return [KEYS["relay"]]

    def speaks(self, key: bytes) -> bool:
        return key == KEYS["member"]

    def look(self, now: Now) -> None:
        self.say(f"  dialling looks at {now.monotonic / SECOND:g}")


class Overlay:
    """Tells its calls to a script."""

    def __init__(self, script: Script) -> None:
        self._script, self.book, self.checks = script, script.book, script.checks

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            told = [
                named(each) if isinstance(each, bytes) and len(each) == 32 else each for each in arguments
            ]
            shown = [_shown(each) for each in told if not isinstance(each, Now)]
            shown += [f"{key}={value}" for key, value in more.items()]
            self._script.say(f"  overlay.{name}({', '.join(shown)})")
            return self._answer(name, arguments)

        return call

    def deadline(self) -> int:
        return self._script.due

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> Any:
        script = self._script
        if name == "take":
            found = SimpleNamespace(sends=script.sends, hang_ups=script.hang_ups, dials=script.dials)
            script.sends, script.hang_ups, script.dials = [], [], []
            return found
        if name == "visit":
            return (None, b"an answer") if arguments[1] == b"a question" else (Reason.MALFORMED, None)
        if name == "receive":
            return Reason.MALFORMED if arguments[1] == b"junk" else None
        return [] if name == "records_of" else None


def _shown(each: Any) -> str:
    if isinstance(each, Item):
        return f"record of {named(each.author)} {address_of(each).addresses}"
    if isinstance(each, list | tuple):
        return f"[{', '.join(named(one) if isinstance(one, bytes) else _shown(one) for one in each)}]"
    return named(each) if isinstance(each, bytes) and len(each) == 32 else repr(each)


def test_between_links_and_overlay(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    clock = SimpleNamespace(monotonic_ns=lambda: script.now, time_ns=lambda: WALL + script.now)
    for module in (overlay_port, own_record):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(overlay_port, "secrets", SimpleNamespace(randbelow=lambda bound: bound - 1))
    port = OverlayPort(CLUSTER, PAIRS["own"][1], "gate", Settings("relay"))
    port.follow(cast(Any, script), cast(Any, script))
    script.chapter("Who counts, and who is a follower")
    port.admit([KEYS["own"], KEYS["member"]], [KEYS["relay"], KEYS["leaf"]])
    script.say(f"counts {[name for name in NAMES if port.counts(KEYS[name])]}")
    now = Now(script.now, WALL)
    port.overlay.hear(
        [record("relay", "relay", ("192.0.2.1", 1)), record("leaf", "leaf"), record("member", "relay")], now
    )
    found = [Peer(name=name, member=None, route=b"r") for name in (*NAMES, "unknown")]
    script.say(f"followers {[peer.name for peer in found if port.is_follower(peer)]}")
    script.say(f"records {len(port.records_of(found))}")
    port.admit([KEYS["own"], KEYS["member"]], [KEYS["relay"]])
    script.say(f"without the leaf {[peer.name for peer in found if port.is_follower(peer)]}")
    for counting in ([KEYS["relay"]], []):
        port.admit([KEYS["own"], KEYS["member"]], counting)
        script.say(f"its book {sorted(named(item.author) for item in port.overlay.book.items())}")
    port.admit([KEYS["own"], KEYS["member"]], [KEYS["relay"]])
    port.overlay = cast(Any, Overlay(script))
    _turns(script, port)
    golden(GOLDEN / "overlay-port.txt", script.text)


def _hands(script: Script, port: OverlayPort) -> tuple[Callable[..., None], Callable[..., None]]:
    """(plays a turn, lets a peer say something)."""

    def now() -> Now:
        return Now(script.now, WALL + script.now)

    def turn(what: str, seconds: float = 0.0) -> None:
        script.now += int(seconds * SECOND)
        script.say(f"turn at {script.now / SECOND:g}, {what}")
        sends = [f"{peer.name} {peer.route!r} {body!r}" for peer, body in port.turn(now())]
        due = port.deadline()
        script.say(f"= {sends}, due {None if due is None else due / SECOND}")

    def hears(name: str, body: bytes, route: bytes = b"") -> None:
        script.say(f"{name} by {route!r} says {body!r}")
        script.say(f"= {port.receive(Peer(name=name, member=None, route=route), body, now())}")

    return turn, hears


def _turns(script: Script, port: OverlayPort) -> None:
    turn, hears = _hands(script, port)
    script.chapter("It does not take part yet")
    turn("nothing")
    hears("relay", b"too early")
    port.referred(Peer(name="relay", member=None), [b"record"], Now(script.now, WALL + script.now))
    script.chapter("It begins")
    script.due = script.now + SECOND
    port.begin()
    script.say(f"begun {port.begun}, checks {port.checks}")
    turn("too soon for a look", 0.049)
    port.record.listens(("192.0.2.100", 100))
    turn("a look", 0.001)
    script.up = {KEYS["member"]: Peer("member", 1), KEYS["leaf"]: Peer("leaf", None, b"l")}
    turn("a member and a leaf are up", 0.05)
    hears("leaf", b"hello", b"l")
    hears("leaf", b"junk", b"l")
    hears("relay", b"a question", b"visit")
    hears("relay", b"junk", b"visit")
    hears("unknown", b"who is it")
    hears("relay", b"without a route")
    port.referred(Peer(name="relay", member=None), [b"record"], Now(script.now, WALL + script.now))
    script.sends = [(KEYS["leaf"], b"to the leaf"), (KEYS["far"], b"to who is not up")]
    script.hang_ups = [KEYS["far"]]
    script.dials = [
        record("far", "relay", ("192.0.2.5", 5), ("192.0.2.6", 6)),
        record("leaf", "leaf"),
        record("stranger", "leaf"),
    ]
    turn("it sends and dials")
    script.up[KEYS["leaf"]] = Peer("leaf", None, b"l2")
    script.sends = [(KEYS["leaf"], b"by its newest connection")]
    turn("a connection is newer", 0.05)
    script.can_dial = False
    script.dials = [record("relay", "relay", ("192.0.2.7", 7))]
    turn("nobody can be dialled", 1.0)
    script.due = script.now + 10 * SECOND
    turn("who was dialled is not up yet", 1.94)
    turn("and is given up", 0.01)
    del script.up[KEYS["leaf"]]
    port.record.listens(("192.0.2.100", 101))
    turn("the leaf went, and the port is another", 0.05)
    script.up[KEYS["leaf"]] = Peer("leaf", None, b"l3")
    turn("it is back, and has not spoken", 0.05)
    script.can_dial, script.dials = True, [record("far", "relay", ("192.0.2.5", 5))]
    turn("it dials once more", 0.05)
    script.up[KEYS["far"]] = Peer("far", None, b"f")
    hears("far", b"hello", b"f")
    turn("who was dialled is up in time", 1.0)
    turn("and stays", 10.0)
    script.say(f"a member dials nobody: {NoDialling().dial(KEYS['far'], ('', 0))}")


# --- its own record --------------------------------------------------------------------------------


def test_a_nodes_own_record(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Telling()
    wall = [WALL]
    monkeypatch.setattr(own_record, "time", SimpleNamespace(time_ns=lambda: wall[0]))
    ways = {"192.0.2.1": "192.0.2.100", "127.0.0.1": "127.0.0.1", "192.0.2.2": "192.0.2.100"}
    monkeypatch.setattr(own_record, "way_to", lambda host: ways.get(host, "198.51.100.7"))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: thread.run())
    own = OwnRecord(CLUSTER, PAIRS["own"][1], "own", "member")

    def tell(what: str, above: int = 0) -> None:
        item = own.item(above)
        said = None if item is None else (address_of(item), item.version - WALL // 1_000)
        story.say(f"{what}: {said}, the same {item is own.item(above)}")

    tell("at first")
    own.reaches(["192.0.2.1"])
    own.listens(("192.0.2.50", 5))
    tell("at one address")
    own.reaches(["192.0.2.1"])
    tell("it does not matter whom it reaches")
    wall[0] -= 60 * SECOND
    tell("the clock was set back, and others hold a newer one", WALL // 1_000 + 9)
    own.listens(("0.0.0.0", 6))  # noqa: S104 - what an operator may say
    tell("at all addresses")
    for hosts in (["127.0.0.1"], ["192.0.2.1", "192.0.2.2"], ["node.test", "192.0.2.9"], ["192.0.2.1"]):
        own.reaches(hosts)
        tell(f"it reaches {hosts}")
    own.listens(("::", 7))
    tell("at all addresses of the other family")
    own.listens(("node.test", 8))
    tell("at a name")
    own = OwnRecord(CLUSTER, PAIRS["own"][1], "own", "leaf")
    tell("a leaf")
    golden(GOLDEN / "own-record.txt", story.text)


# --- whom a follower dials -------------------------------------------------------------------------

MEMBERS = tuple(Member(f"node{at}", bytes([at]) * 32, "192.0.2.9", 4_000 + at) for at in range(4))
RELAYS = tuple(bytes([at]) * 32 for at in (11, 12, 13, 14))


class Dialled(Telling):
    """The links of a follower: a test says which of those that it dials come up."""

    members = MEMBERS

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[bytes] = []
        self.up: list[bytes] = []
        self.executed = self.vouched = 0
        self.used: list[bytes] = []

    def dialled_up(self) -> list[bytes]:
        return list(self.up)

    def has_dialled(self, key: bytes) -> bool:
        return key in self.keys

    def index_of(self, key: bytes) -> int | None:
        return next((at for at, each in enumerate(MEMBERS) if each.public_key == key), None)

    def dial(self, key: bytes, address: tuple[str, int]) -> int | None:
        self.say(f"  dials {key[0]} at {address}")
        if key not in self.keys:
            if len(self.keys) >= 6:
                return None
            self.keys.append(key)
        return len(self.keys)

    def hang_up(self, key: bytes) -> None:
        self.say(f"  hangs up on {key[0]}")
        for keys in (self.keys, self.up):
            if key in keys:
                keys.remove(key)


def test_whom_a_follower_dials(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_dialling, "secrets", SimpleNamespace(randbelow=lambda _bound: 0))
    links = Dialled()
    dialling = RelayDialling(
        cast(RelayTransport, links),
        Place(RELAYS[0], ("192.0.2.70", 70)),
        b"o" * 32,
        lambda: links.used,
        lambda: (links.executed, links.vouched),
    )
    now = [0.0]

    def look(what: str, *seconds: float) -> None:
        for step in seconds:
            now[0] += step
            links.say(f"{now[0]:g} s, {what}")
            dialling.look(Now(int(now[0] * SECOND), 0))

    look("alone", 0.0, 0.9, 0.1, 1.0, 1.0, 1.0)
    for key in (b"o" * 32, RELAYS[1], RELAYS[2], RELAYS[3]):
        links.say(f"dialled: {dialling.dial(key, ('192.0.2.71', 71))}")
    links.up = [MEMBERS[1].public_key]
    look("a member is up", 1.0, 5.0)
    links.say(f"speaks {[dialling.speaks(key) for key in (MEMBERS[0].public_key, RELAYS[1], b'x' * 32)]}")
    dialling.hang_up(MEMBERS[1].public_key)
    links.up = [MEMBERS[1].public_key, RELAYS[1], RELAYS[2]]
    look("two relays besides", 1.0)
    dialling.hang_up(MEMBERS[1].public_key)
    links.up = [MEMBERS[1].public_key, *RELAYS[1:]]
    links.used = [MEMBERS[1].public_key]
    look("relays enough, and the member is used", 1.0, 9.0, 9.0)
    links.used = [RELAYS[1]]
    look("it is used no more", 9.9, 0.1, 1.0)
    links.vouched = 5
    look("others have more", 4.9, 0.1, 4.9, 0.2, 5.0)
    links.executed = 3
    look("it moved", 1.0, 4.0, 0.9)
    links.executed = 5
    look("it has all", 60.0)
    links.up = list(RELAYS[1:])
    look("only relays", 5.0)
    dialling.hang_up(RELAYS[1])
    links.up = [RELAYS[2]]
    look("one relay", 1.0, 1.0)
    links.up = [MEMBERS[1].public_key]
    look("a member again", 5.0)
    links.up = []
    look("it is lost", 0.5, 0.4, 0.1)
    golden(GOLDEN / "relay-dialling.txt", links.text)
