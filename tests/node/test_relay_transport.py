"""Links of a follower: members and relays by index, children by name, peers by key (R45)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dtvn.net import RelayTransport, public_key_of
from dtvn.net.relay_transport import SLOTS_MAX
from dtvn.node.keys import dev_seed
from dtvn.protocol.consensus.effects import Send
from dtvn.protocol.consensus.messages import Answer, Query
from dtvn.protocol.consensus.verified import Inbound
from dtvn.protocol.wire import link_frame
from tests.node.net import MILLISECOND, Net, net
from tests.ports import LOOPBACK, free_ports

QUESTION = link_frame(Query(1, "genesis", ()))


def key_of(name: str) -> bytes:
    return public_key_of(dev_seed(name))


@contextmanager
def relay(known: Net, name: str, *, listens: bool = False) -> Iterator[RelayTransport]:
    """A follower that dials no member by itself; the members have admitted it."""
    listen = (LOOPBACK, free_ports(1)[0]) if listens else None
    made = RelayTransport(known.context(), dev_seed(name), known.genesis.members, listen=listen, wanted=())
    for node in known.nodes.values():
        node.admit({name: key_of(name)})
    try:
        yield made
    finally:
        made.close()


def turn(*followers: RelayTransport) -> None:
    for follower in followers:
        follower.wait(MILLISECOND)
        follower.receive(0)


def test_a_follower_dials_the_members_that_it_wants_and_no_others() -> None:
    with net(3) as three, relay(three, "gate") as gate:
        assert gate.dial(key_of("node1"), three.ports[1]) == 1
        assert gate.peers_up() == {}, "it did not answer yet"
        three.until(lambda: (turn(gate), gate.up())[1])
        assert gate.up() == (1,)
        assert set(gate.peers_up()) == {key_of("node1")}
        gate.send(Send(to=1, frame=QUESTION))
        gate.send(Send(to=2, frame=QUESTION))
        received = three.turn_all()
        while not received[1]:
            turn(gate)
            received = three.turn_all()
        [frame] = received[1]
        assert three.nodes[1].key_of(frame.peer) == key_of("gate")
        assert key_of("gate") in three.nodes[1].peers_up()
        gate.hang_up(key_of("node1"))
        assert gate.up() == ()
        assert not gate.has_dialled(key_of("node1"))


def test_relays_have_slots_after_the_members_and_children_have_names() -> None:
    with net(2) as two, relay(two, "parent", listens=True) as parent, relay(two, "child") as child:
        parent.admit({"child": key_of("child")})
        slot = child.dial(key_of("parent"), parent.address)
        assert slot == len(two.genesis.members)
        assert child.dial(key_of("parent"), parent.address) == slot, "it is dialled already"
        two.until(lambda: (turn(parent, child), child.up())[1])
        child.send(Send(to=slot, frame=QUESTION))
        frames: list[Inbound] = []
        two.until(lambda: (frames.extend(parent.receive(8)), turn(child), frames)[2])
        assert (frames[0].frame, frames[0].peer.member) == (QUESTION, None)
        assert parent.key_of(frames[0].peer) == key_of("child")
        answer = link_frame(Answer(1, "", "here"))
        parent.answer(frames[0].peer, answer)
        told: list[Inbound] = []
        two.until(lambda: (parent.receive(8), told.extend(child.receive(8)), told)[2])
        assert (told[0].frame, told[0].peer.member) == (answer, slot)
        assert set(parent.peers_up()) == {key_of("child")}
        assert set(child.peers_up()) == {key_of("parent")}


def test_who_does_not_count_is_not_let_in() -> None:
    with net(2) as two, relay(two, "parent", listens=True) as parent, relay(two, "stranger") as stranger:
        parent.admit({"child": key_of("child")})
        stranger.dial(key_of("parent"), parent.address)
        two.until(lambda: (turn(parent, stranger), parent.strangers)[1])
        assert stranger.up() == ()


def test_slots_are_bounded_and_keep_their_peers_over_epochs() -> None:
    with net(2) as two, relay(two, "gate") as gate:
        slots = [gate.dial(key_of(f"relay{n}"), (LOOPBACK, 1)) for n in range(SLOTS_MAX + 1)]
        assert slots == [*range(2, SLOTS_MAX + 2), None]
        assert gate.dial(b"\0" * 32, (LOOPBACK, 1)) is None, "no key of anybody"
        gate.follow(two.genesis.members[1:])
        assert gate.has_dialled(key_of("relay0"))
        gate.hang_up(key_of("relay0"))
        assert gate.dial(key_of("relay9999"), (LOOPBACK, 1)) == 1, "the first slot is free again"
