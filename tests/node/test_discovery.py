"""Members learn addresses from any member: whom Discovery asks, what it believes, and what it tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from nacl import bindings

from dtvn.net import curve_keys, public_key_of
from dtvn.node import discovery as discovery_module
from dtvn.node.asker import Heard, Talk
from dtvn.node.discovery import SILENT_MAX, Discovery
from dtvn.node.keys import dev_seed
from dtvn.node.own_record import OwnRecord
from dtvn.overlay import AddressValue, book_id, signed_address
from dtvn.overlay.book import AddressBook
from dtvn.overlay.messages import Closest, Records, Rumour, decode, encode
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.messages import Answer, Gossip
from dtvn.protocol.wire import link_frame
from dtvn.protocol.wire.envelope import Envelope
from dtvn.sync import Item
from tests.waiting import wait_until

CLUSTER = b"c" * 32
NAMES = ("node0", "node1", "node2")
KEYS = {name: public_key_of(dev_seed(name)) for name in NAMES}
Address = tuple[str, int]


def now() -> Now:
    return Now(monotonic=time.monotonic_ns(), wall=time.time_ns())


def secret(name: str) -> bytes:
    return bindings.crypto_sign_seed_keypair(dev_seed(name))[1]


def record(name: str, port: int, host: str = "127.0.0.1", *, later: int = 0) -> Item:
    value = AddressValue(name, "member", ((host, port),))
    return signed_address(CLUSTER, secret(name), value, time.time_ns() // 1_000 + later)


class Asked:
    """A member that is asked, on a real socket; a test says what it answers."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], name: str) -> None:
        self.name = name
        self.heard: list[Rumour | Closest] = []
        self.socket = context.socket(zmq.ROUTER)
        keys = curve_keys(dev_seed(name))
        self.socket.curve_server, self.socket.linger = 1, 0
        self.socket.curve_publickey, self.socket.curve_secretkey = keys.public, keys.secret
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.port

    def answer(self, items: Callable[[bytes], tuple[Item, ...]] | bytes | None) -> None:
        """Take all that came; answer questions with these items, or with a frame."""
        while self.socket.poll(0):
            route, frame = self.socket.recv_multipart()
            message = decode(canonical.decode(Gossip, canonical.decode(Envelope, frame).body).body)
            assert isinstance(message, Rumour | Closest)
            self.heard.append(message)
            if isinstance(items, bytes):
                self.socket.send_multipart([route, items])
            elif items is not None and isinstance(message, Closest):
                answer = encode(Records(message.number, items(message.target)))
                self.socket.send_multipart([route, link_frame(Gossip(answer))])

    @property
    def told(self) -> list[Item]:
        """The records that it was told."""
        return [item for message in self.heard if isinstance(message, Rumour) for item in message.items]

    @property
    def questions(self) -> list[bytes]:
        return [message.target for message in self.heard if isinstance(message, Closest)]


@pytest.fixture
def member() -> Iterator[Callable[[str], Asked]]:
    """Makes a member that can be asked."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[Asked] = []

    def make(name: str) -> Asked:
        made.append(Asked(context, name))
        return made[-1]

    yield make
    for each in made:
        each.socket.close(0)
    context.term()


@pytest.fixture
def discovery() -> Iterator[Discovery]:
    book = AddressBook(
        CLUSTER, KEYS["node0"], admits=frozenset(KEYS.values()).__contains__, members=KEYS.values()
    )
    own = OwnRecord(CLUSTER, secret("node0"), "node0", "member")
    made = Discovery(book, own, KEYS, seed=dev_seed("node0"))
    yield made
    made.close()


def run(
    discovery: Discovery, until: Callable[[], object], *each: Callable[[], None], linked: tuple[str, ...] = ()
) -> dict[str, Address]:
    """Drive it as a member's loop does; returns all that `look` returned."""
    found: dict[str, Address] = {}
    looked = 0

    def turn() -> bool:
        nonlocal looked
        if now().monotonic >= looked + 200_000_000:
            looked = now().monotonic
            found.update(discovery.look(linked, now()))
        discovery.turn(now())
        for step in each:
            step()
        return bool(until())

    wait_until(turn, what="what Discovery asks and learns", pause=0.01)
    return found


def test_one_named_member_is_enough_and_is_told_first_where_the_asker_listens(
    discovery: Discovery, member: Callable[[str], Asked]
) -> None:
    named = member("node1")
    all_it_has = (record("node1", named.port), record("node2", 5002))
    discovery.begin(("127.0.0.1", 5000), {"node1": named.address}, ("node1",))
    found = run(discovery, lambda: len(discovery.book) == 2, lambda: named.answer(lambda _: all_it_has))
    found |= discovery.look((), now())
    assert found == {"node1": named.address, "node2": ("127.0.0.1", 5002)}
    assert isinstance(named.heard[0], Rumour)
    assert named.told[0].author == KEYS["node0"]
    assert canonical.decode(AddressValue, named.told[0].value).addresses == (("127.0.0.1", 5000),)
    assert named.questions[0] == book_id(KEYS["node2"])


def test_who_was_told_only_answers_for_others_after_the_named_member_ended(
    discovery: Discovery, member: Callable[[str], Asked]
) -> None:
    """node2 is known, node1 moved, and nobody is at its old address: node2 says where it is now."""
    other = member("node2")
    discovery.book.learn(record("node1", 1), time.time_ns() // 1_000)
    discovery.book.learn(record("node2", other.port), time.time_ns() // 1_000)
    moved = record("node1", 5001)
    discovery.begin(("127.0.0.1", 5000), {}, ())
    found = run(
        discovery,
        lambda: moved in discovery.book.items(),
        lambda: other.answer(lambda _: (moved,)),
        linked=("node2",),
    )
    found |= discovery.look((), now())
    assert found["node1"] == ("127.0.0.1", 5001)


def test_nobody_is_asked_once_all_are_linked_and_told(
    discovery: Discovery, member: Callable[[str], Asked]
) -> None:
    asked = member("node1")
    for item in (record("node1", asked.port), record("node2", 5002)):
        discovery.book.learn(item, time.time_ns() // 1_000)
    discovery.begin(("127.0.0.1", 5000), {}, ())
    discovery.look(("node1", "node2"), now())
    discovery.turn(now())
    assert discovery.deadline() is None
    assert not asked.socket.poll(300)


def test_an_operators_undialable_address_does_not_end_the_search(
    discovery: Discovery, member: Callable[[str], Asked]
) -> None:
    """The thread that asks ended for good at the first such contact."""
    other = member("node2")
    discovery.begin(("127.0.0.1", 5000), {"node1": ("a b", 70), "node2": other.address}, ("node1",))
    run(discovery, lambda: other.questions, lambda: other.answer(None))


@pytest.mark.parametrize(
    "frame",
    [
        link_frame(Gossip(b"")),
        link_frame(Gossip(b"\xff" + b"\x91" * 20_000)),
        link_frame(Gossip(encode(Closest(1, bytes(32))))),
        link_frame(Gossip(encode(Records(1, ())))),
        b"\x93" * 100_000,
        b"",
    ],
    ids=["empty", "nested", "a question", "unasked", "no envelope", "nothing"],
)
def test_a_hostile_answer_does_not_end_the_search(
    discovery: Discovery, member: Callable[[str], Asked], frame: bytes
) -> None:
    hostile, honest = member("node1"), member("node2")
    places = {"node1": hostile.address, "node2": honest.address}
    discovery.begin(("127.0.0.1", 5000), places, ("node1",))
    told = (record("node1", hostile.port), record("node2", honest.port))
    run(
        discovery,
        lambda: len(discovery.book) == 2,
        lambda: hostile.answer(frame),
        lambda: honest.answer(lambda _: told),
    )


def test_a_member_moves_nobody_but_itself(discovery: Discovery, member: Callable[[str], Asked]) -> None:
    """It signs another's name, and passes on what another cluster signed: only keys count."""
    liar = member("node1")
    value = AddressValue("node2", "member", (("127.0.0.1", 6666),))
    in_anothers_name = signed_address(CLUSTER, secret("node1"), value, time.time_ns() // 1_000)
    elsewhere = signed_address(b"d" * 32, secret("node2"), value, time.time_ns() // 1_000)
    discovery.begin(("127.0.0.1", 5000), {"node1": liar.address}, ("node1",))
    found = run(
        discovery,
        lambda: len(liar.questions) > 1,
        lambda: liar.answer(lambda _: (in_anothers_name, elsewhere)),
    )
    assert found == {"node1": ("127.0.0.1", 6666)}
    assert KEYS["node2"] not in discovery.book


def test_who_says_nothing_is_asked_ever_more_rarely(
    discovery: Discovery, member: Callable[[str], Asked]
) -> None:
    """A member of an earlier release takes each message for a malformed frame, and mutes this one after 16 in
    a minute."""
    old = member("node1")
    discovery.begin(("127.0.0.1", 5000), {"node1": old.address}, ("node1",))
    run(discovery, lambda: len(old.questions) == 2, lambda: old.answer(None))
    first = now().monotonic
    run(discovery, lambda: len(old.questions) == 3, lambda: old.answer(None))
    assert now().monotonic - first > 1_500_000_000
    times = [2 + 1, 4 + 1, 8 + 1, *[SILENT_MAX / 1e9 + 1] * 3]
    assert 2 * (1 + sum(1 for at in range(1, 7) if sum(times[:at]) < 60)) < 16


def test_frames_that_are_no_gossip_are_ignored(discovery: Discovery, member: Callable[[str], Asked]) -> None:
    asked = member("node1")
    discovery.begin(("127.0.0.1", 5000), {"node1": asked.address}, ("node1",))
    run(discovery, lambda: asked.questions, lambda: asked.answer(link_frame(Answer(1, "", "{}"))))
    assert len(discovery.book) == 0


def test_members_that_are_not_linked_are_dialled_at_each_of_their_addresses(discovery: Discovery) -> None:
    places = (("127.0.0.1", 5001), ("10.0.0.1", 5001))
    both = signed_address(
        CLUSTER, secret("node1"), AddressValue("node1", "member", places), time.time_ns() // 1_000
    )
    discovery.book.learn(both, time.time_ns() // 1_000)
    start = now()
    at = [Now(start.monotonic + seconds * 1_000_000_000, start.wall) for seconds in range(9)]
    told = [discovery.look((), each).get("node1") for each in at]
    assert told == [places[0], None, None, places[1], None, None, places[0], None, None]
    assert all(discovery.look(("node1",), each) == {} for each in at)


# --- a node's own record --------------------------------------------------------------------------


def own_record() -> OwnRecord:
    return OwnRecord(CLUSTER, secret("node0"), "node0", "member")


def places_of(item: Item | None) -> tuple[Address, ...]:
    assert item is not None
    return canonical.decode(AddressValue, item.value).addresses


def test_a_record_is_signed_again_only_when_it_says_something_else() -> None:
    own = own_record()
    own.listens(("10.1.2.3", 4001))
    first = own.item()
    assert own.item() is first
    assert first is not None
    assert own.item(first.version) is first, "others show what it said"
    own.listens(("10.1.2.4", 4001))
    second = own.item()
    assert second is not None
    assert second.version > first.version
    assert places_of(second) == (("10.1.2.4", 4001),)


def test_after_a_clock_was_set_back_its_record_is_newer_all_the_same() -> None:
    own = own_record()
    own.listens(("10.1.2.3", 4001))
    ahead = time.time_ns() // 1_000 + 500_000_000
    item = own.item(ahead)
    assert item is not None
    assert item.version == ahead + 1


def test_a_wildcard_is_no_address_but_the_ways_to_others_are() -> None:
    own = own_record()
    own.listens(("::", 4001))
    assert own.item() is None
    own.reaches(["127.0.0.1", "a." * 40 + "b" * 64])
    wait_until(lambda: own.item() is not None, what="an address")
    assert places_of(own.item()) == (("127.0.0.1", 4001),)


def test_who_others_are_may_be_told_before_where_it_listens() -> None:
    own = own_record()
    own.reaches(["127.0.0.1"])
    own.listens(("::", 4001))
    own.reaches(["127.0.0.1"])
    assert places_of(own.item()) == (("127.0.0.1", 4001),)


def test_a_node_at_a_name_has_no_record() -> None:
    own = own_record()
    own.listens(("node0.example", 4001))
    own.reaches(["127.0.0.1"])
    assert own.item() is None


# --- turns without sockets ------------------------------------------------------------------------


class Scripted:
    """Stands for the sockets: keeps what is said, and hears what a test gives it."""

    def __init__(self, _keys: object) -> None:
        self.talks: list[Talk] = []
        self.heard: list[Heard] = []
        self.busy = False

    def ask(self, talk: Talk) -> None:
        self.talks.append(talk)

    def take(self) -> list[Heard]:
        heard, self.heard = self.heard, []
        return heard

    def close(self) -> None:
        pass


class Turns:
    """Discovery of node0, which may ask node1 only, in a time that a test gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(discovery_module, "Asker", Scripted)
        keys = frozenset(KEYS.values())
        self.book = AddressBook(CLUSTER, KEYS["node0"], admits=keys.__contains__, members=keys)
        own = OwnRecord(CLUSTER, secret("node0"), "node0", "member")
        self.discovery = Discovery(self.book, own, KEYS, seed=dev_seed("node0"))
        self.discovery.begin(("127.0.0.1", 5000), {"node1": ("127.0.0.1", 5001)}, ("node1",))
        self.wall = time.time_ns()
        self.asker: Scripted = self.discovery._asker  # type: ignore[assignment]

    def turn(self, seconds: float, *heard: Heard, linked: tuple[str, ...] = ()) -> list[Talk]:
        """What is asked in the turn at this time, in which this was heard."""
        self.asker.talks = []
        self.asker.heard = list(heard)
        moment = Now(round((100 + seconds) * 1e9), self.wall + round(seconds * 1e9))
        self.discovery.look(linked, moment)
        self.discovery.turn(moment)
        return self.asker.talks

    def asked_again(self, since: float, *heard: Heard) -> float:
        """Seconds from what was heard until the next question."""
        talks = self.turn(since, *heard)
        tenths = 0
        while not talks:
            tenths += 1
            talks = self.turn(since + tenths / 10)
        return tenths / 10


def answered(talk: Talk) -> Heard:
    """What one that knows nobody says to these questions."""
    questions = [each for each in map(decode, talk.bodies) if isinstance(each, Closest)]
    return Heard(talk.key, True, [encode(Records(each.number, ())) for each in questions])


def test_only_who_was_reached_and_said_nothing_is_left_alone_ever_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = Turns(monkeypatch)
    silent, down = Heard(KEYS["node1"], True, ()), Heard(KEYS["node1"], False, ())
    assert turns.turn(0)
    assert turns.asked_again(10, down) == 0
    assert [turns.asked_again(at, silent) for at in (20, 30, 40)] == [1, 2, 4]
    [talk] = turns.asker.talks
    turns.turn(45, answered(talk))
    assert turns.turn(60)
    assert turns.asked_again(70, silent) == 1, "it has answered since"


def test_a_search_ends_once_its_member_is_linked_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch)
    assert turns.turn(0)
    for name in ("node1", "node2"):
        turns.book.learn(record(name, 5001), turns.wall // 1_000)
    assert turns.turn(0.1, linked=("node1", "node2")) == []
    assert turns.discovery.deadline() is None
    assert turns.turn(3, linked=("node1", "node2")) == [], "no question is open that could be late"


def test_a_newer_record_is_tried_from_its_first_address_on(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch)

    def at(seconds: int) -> Address | None:
        return turns.discovery.look((), Now(seconds * 1_000_000_000, 0)).get("node1")

    wall = turns.wall // 1_000
    value = AddressValue("node1", "member", (("127.0.0.1", 1), ("10.0.0.1", 2)))
    turns.book.learn(signed_address(CLUSTER, secret("node1"), value, wall), wall)
    assert [at(1), at(5)] == list(value.addresses)
    turns.book.learn(record("node1", 3, later=1_000), wall)
    assert at(6) == ("127.0.0.1", 3)
