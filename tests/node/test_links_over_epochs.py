"""Links over real sockets while the membership changes: those between members that stay are kept (R35)."""

from __future__ import annotations

from contextlib import closing

from msgspec.structs import replace

from dtvn.net import RelayTransport, ZmqTransport, public_key_of
from dtvn.node.keys import dev_seed
from dtvn.protocol.consensus.effects import ALL, Send
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Genesis, Member
from dtvn.protocol.wire.envelope import encode_envelope
from tests.node.net import Net, collect, net


def vote(text: bytes) -> bytes:
    return encode_envelope(17, text, b"")


def connects(net: Net, index: int) -> dict[str, int]:
    """How often each peer of a node has connected."""
    return {name: each.connects for name, each in net.nodes[index].counters().items() if each.connects}


def enter(net: Net, following: Genesis) -> None:
    """Every node that is still a member follows the next epoch, at the addresses that the nodes have."""
    places = {member.id: place for place, member in enumerate(following.members)}
    real = {name: net.ports[index] for index, name in enumerate(m.id for m in net.genesis.members)}
    addresses = {places[name]: address for name, address in real.items() if name in places}
    for index, node in list(net.nodes.items()):
        name = net.genesis.members[index].id
        if name in places:
            node.follow(following, places[name], addresses)
            node.admit({each.name: each.public_key for each in following.principals})


def test_r35_a_member_leaves_and_the_links_of_the_others_stay() -> None:
    with net(4) as four:
        client = four.dial()
        four.until(lambda: len(client.connected()) == 4)
        for index in (1, 3):  # read before, taken after
            four.nodes[2].inbox.put(Peer(f"node{index}", index, b"route"), vote(b"waits"), 7)
        before = {index: connects(four, index) for index in (0, 2, 3)}
        members = four.genesis.members
        enter(four, replace(four.genesis, members=(members[0], *members[2:])))
        client.follow(replace(four.genesis, members=(members[0], *members[2:])), {0: four.ports[0]})
        assert four.nodes[3].connected() == ["node0", "node2"]
        [first] = collect(four.nodes[2], 1)
        four.nodes[1].send(Send(to=2, frame=vote(b"it left")))
        four.nodes[3].send(Send(to=ALL, frame=vote(b"it moved up")))
        arrived = (first, *collect(four.nodes[2], 1))
        found = [(each.peer.name, each.peer.member, each.frame) for each in arrived]
        assert found == [("node3", 2, vote(b"waits")), ("node3", 2, vote(b"it moved up"))]
        assert first.taken == 7, "R3: it arrived before the epoch began"
        four.nodes[2].send(Send(to=2, frame=vote(b"by a link that node3 accepted under another index")))
        assert [each.peer.member for each in collect(four.nodes[3], 1)] == [1]
        four.until(lambda: four.nodes[2].malformed == 1)
        for index, known in before.items():
            after = connects(four, index)
            assert "node1" not in after
            assert {name: after[name] for name in known if name != "node1"} == {
                name: count for name, count in known.items() if name != "node1"
            }


def test_r35_what_waits_for_a_learner_is_of_the_members_of_the_next_epoch() -> None:
    with net(2) as two:
        learner = RelayTransport(two.context(), dev_seed("learner"), two.genesis.members)
        for index in (0, 1):
            learner.inbox.put(Peer(f"node{index}", index), vote(b"waits"), 0)
        learner.follow(two.genesis.members[1:])
        assert [(each.peer.name, each.peer.member) for each in learner.receive(8)] == [("node1", 0)]
        learner.close()


def test_r35_a_connection_ends_with_the_key_that_opened_it() -> None:
    """A rotated key is invalid from the next epoch on, though its connection is still open."""
    with net(3) as three:
        old = three.nodes[0]  # the lowest index dials the others, who know it by its key
        key = public_key_of(dev_seed("another"))
        members = (replace(three.genesis.members[0], public_key=key), *three.genesis.members[1:])
        following = replace(three.genesis, members=members)
        for index in (1, 2):
            three.nodes[index].follow(following, index, three.ports)
            three.nodes[index].admit({})
        assert "node0" not in three.nodes[1].connected()
        malformed = three.nodes[1].malformed
        old.send(Send(to=1, frame=vote(b"under the old key")))
        three.until(lambda: three.nodes[1].malformed > malformed)
        assert three.nodes[1].inbox.empty


def test_r35_a_member_that_moved_meanwhile_is_dialled_at_its_new_address() -> None:
    with net(2) as two:
        client = two.dial()
        two.until(lambda: len(client.connected()) == 2)
        two.nodes.pop(1).close()
        two.until(lambda: not two.nodes[0].connected() and client.connected() == {0})
        del two.ports[1]
        two.start(1)
        two.nodes[0].follow(two.genesis, 0, two.ports)
        two.nodes[0].admit({each.name: each.public_key for each in two.genesis.principals})
        client.follow(two.genesis, two.ports)
        two.until(lambda: two.meshed() and client.connected() == {0, 1})


def test_r36_a_newcomer_is_dialled_by_the_members_and_they_keep_their_links() -> None:
    with net(2) as two:
        newcomer = Member("node2", public_key_of(dev_seed("node2")), "127.0.0.1", 1)
        following = replace(two.genesis, members=(*two.genesis.members, newcomer))
        before = connects(two, 0)
        entered, two.genesis = two.genesis, following
        two.start(2)
        two.genesis = entered
        addresses = dict(two.ports)
        for index in (0, 1):
            two.nodes[index].follow(following, index, addresses)
            two.nodes[index].admit({})
        two.until(lambda: all(len(node.connected()) == 2 for node in two.nodes.values()))
        assert {name: connects(two, 0)[name] for name in before} == before


def test_r35_a_link_that_was_dialled_under_the_next_key_is_not_kept() -> None:
    """It was dialled against the order of the members. In another order this side uses its own key."""
    with net(2) as two:
        two.nodes.pop(0).close()
        two.until(lambda: not two.nodes[1].connected())
        two.nodes[1].dial_with_next_key(dev_seed("next"))
        turned = replace(two.genesis, members=two.genesis.members[::-1])
        two.nodes[1].follow(turned, 0, {1: two.ports[0]})
        two.nodes[1].admit({})
        first = ZmqTransport(two.context(), turned, 1, dev_seed("node0"), bind=two.ports[0])
        two.nodes[0] = first
        two.until(lambda: first.connected() == ["node1"])


def test_r35_links_are_kept_under_the_same_keys_only() -> None:
    with net(1) as one:
        seed, other = dev_seed("gateway"), dev_seed("another")
        with closing(RelayTransport(one.context(), seed, one.genesis.members, wanted=())) as links:
            assert links.keeps(seed, None)
            assert not links.keeps(other, None)
            assert not links.keeps(seed, other)
        node, bind = one.nodes[0], one.ports[0]
        assert node.keeps(one.genesis, 0, dev_seed("node0"), bind)
        assert not node.keeps(one.genesis, 0, other, bind)
        assert not node.keeps(one.genesis, 0, dev_seed("node0"), ("127.0.0.1", 0))
