"""Links between members and principals over real sockets: authentication, identity and fairness."""

from __future__ import annotations

import time
from hashlib import sha256
from types import SimpleNamespace

import msgspec
import pytest
import zmq
from msgspec.structs import replace

from dtvn.net import acceptor, curve_keys, curve_public, dialled, inbox, links, public_key_of
from dtvn.net.queues import lane_of
from dtvn.net.transport import allowed_users
from dtvn.node.keys import dev_seed
from dtvn.node.provision import dev_genesis
from dtvn.protocol.consensus.effects import ALL, ReplyTo, Send
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire.envelope import encode_envelope
from tests.node.net import MILLISECOND, Net, collect, net
from tests.support.table import table
from tests.waiting import PATIENCE, wait_until

SLOW_FRAMES = 1_500


def vote(text: bytes) -> bytes:
    """Frame of the consensus lane whose content does not matter here."""
    return encode_envelope(17, text, b"")


def bulk(text: bytes) -> bytes:
    return encode_envelope(1, text, b"")


def test_each_pair_has_one_link_and_each_frame_the_right_name() -> None:
    with net(4) as four:
        for index, node in four.nodes.items():
            node.send(Send(to=ALL, frame=vote(b"from %d" % index)))
        for index, node in four.nodes.items():
            received = collect(node, 3)
            assert {(item.peer.member, item.frame) for item in received} == {
                (other, vote(b"from %d" % other)) for other in range(4) if other != index
            }
            assert all(item.peer.name == f"node{item.peer.member}" for item in received)


def test_a_principal_is_heard_by_name_and_answered_at_its_own_connection() -> None:
    with net(1) as one:
        first = one.dial(client=b"client-1")
        second = one.dial(client=b"client-2")
        one.until(lambda: first.connected() and second.connected())
        first.send(0, bulk(b"mine"))
        [item] = collect(one.nodes[0], 1)
        assert (item.peer.name, item.peer.member) == ("gateway", None)
        second.send(0, bulk(b"its Hello came before this"))
        collect(one.nodes[0], 1)
        one.nodes[0].answer(item.peer, bulk(b"answer"))
        one.nodes[0].reply(ReplyTo(principal="gateway", client=b"client-2", frame=bulk(b"reply")))
        one.nodes[0].reply(ReplyTo(principal="gateway", client=b"nobody--", frame=bulk(b"lost")))
        assert arrivals(first, 1) == [(0, bulk(b"answer"))]
        assert arrivals(second, 1) == [(0, bulk(b"reply"))]


def test_a_client_that_connects_again_is_answered_at_its_newest_connection() -> None:
    with net(1) as one:
        node, reply = one.nodes[0], ReplyTo("gateway", b"client-1", bulk(b"reply"))
        old = one.dial(client=b"client-1")
        one.until(old.connected)
        old.send(0, bulk(b"heard"))
        [before] = collect(node, 1)
        new = one.dial(client=b"client-1")
        one.until(new.connected)
        new.send(0, bulk(b"heard"))
        collect(node, 1)
        node.reply(reply)
        assert arrivals(new, 1) == [(0, bulk(b"reply"))]
        assert old.poll(50) == []
        one.diallers.remove(old)
        old.close()

        def is_forgotten() -> bool:
            node.answer(before.peer, bulk(b"too late"))
            return node._acceptor.owner(before.peer.route) is None

        one.until(is_forgotten)
        node.reply(reply)
        assert arrivals(new, 1) == [(0, bulk(b"reply"))], "the end of the old one takes nothing from it"


def test_the_listening_side_sends_no_heartbeats() -> None:
    """One that is due to a peer that left while its frames filled the pipe ends the process
    (zeromq/libzmq#4841). The dialling side's say for how long each is good, so that both sides notice a
    silent peer."""
    with net(2) as two:
        assert two.nodes[1]._acceptor.socket.heartbeat_ivl == 0
        dialling = two.nodes[0]._links[1].socket
        assert dialling.heartbeat_ivl > 0
        assert dialling.heartbeat_ttl > 0


@table("host", ["a b", "_x", "é", "*", "x/y", "a@b"], count=6)
def test_an_invalid_address_does_not_stop_the_transport(host: str) -> None:
    """ZeroMQ raised EINVAL out of the node's loop."""
    with net(2) as two:
        two.until(two.meshed)
        node = two.nodes[0]
        node.redial("node1", (host, 70))
        assert node.connected() == ["node1"], "a link that works is not given up for hearsay"
        two.nodes.pop(1).close()
        two.until(lambda: not node.connected())
        node.redial("node1", (host, 71))
        two.start(1)
        node.redial("node1", two.ports[1])
        two.until(two.meshed)


def test_a_listed_key_without_a_curve_point_is_ignored_by_the_transport() -> None:
    """A log of before the rule may hold one: the node died of it at every start."""
    with net(1) as one:
        keys = {"door": sha256(b"0").digest(), "gateway": public_key_of(dev_seed("gateway"))}
        assert one.nodes[0].admit(keys) == ["door"]
        dialler = one.dial()
        one.until(dialler.connected)


def test_a_principal_named_like_a_member_gets_neither_its_frames_nor_share() -> None:
    """The next key of a member follows the log while the member votes; the newest connection of a name is
    where statements go."""
    with net(2) as two:
        two.until(two.meshed)
        seed = b"\x07" * 32
        assert two.nodes[1].admit({"node0": public_key_of(seed)}) == []
        namesake = two.dial(client=b"namesake", seed=seed)
        two.until(lambda: 1 in namesake.connected())
        namesake.send(1, bulk(b"may I"))
        [item] = collect(two.nodes[1], 1)
        assert (item.peer.name, item.peer.member) == ("principal/node0", None)
        two.nodes[1].answer(item.peer, bulk(b"yes"))
        assert arrivals(namesake, 1) == [(1, bulk(b"yes"))]
        two.nodes[1].send(Send(to=ALL, frame=vote(b"for the member")))
        [item] = collect(two.nodes[0], 1)
        assert item.frame == vote(b"for the member")
        assert namesake.poll(50) == []


def test_a_member_that_restarts_is_connected_again() -> None:
    with net(2) as two:
        two.nodes.pop(1).close()
        two.until(lambda: not two.nodes[0].connected())
        two.start(1)
        two.until(two.meshed)
        two.nodes[1].send(Send(to=0, frame=vote(b"back")))
        assert [item.frame for item in collect(two.nodes[0], 1)] == [vote(b"back")]


def test_a_dialling_member_that_restarts_is_connected_again() -> None:
    with net(2) as two:
        two.nodes.pop(0).close()
        two.until(lambda: not two.nodes[1].connected())
        two.start(0)
        two.until(two.meshed)
        two.nodes[1].send(Send(to=0, frame=vote(b"hello again")))
        assert [item.frame for item in collect(two.nodes[0], 1)] == [vote(b"hello again")]


def test_r35_a_next_key_is_tried_only_while_its_rotation_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides of a link, to a member that takes the present key only."""
    for name in ("TURN_AFTER", "REBUILD_AFTER"):
        monkeypatch.setattr(dialled, name, 50 * MILLISECOND)
    with net(2) as made:
        left = made.nodes.pop(1)
        left.close()
        made.until(lambda: not made.nodes[0].connected())
        link = made.nodes[0]._links[1]
        made.nodes[0].dial_with_next_key(dev_seed("node0 again"))
        made.until(lambda: link._turns % 2)
        made.nodes[0].dial_with_next_key(None)
        made.start(1).dial_with_next_key(dev_seed("node1 again"))
        made.until(made.meshed)
        made.nodes[1].dial_with_next_key(dev_seed("node1 again"))
        assert 0 not in made.nodes[1]._links, "it is dialled no more by who is connected to it"
        assert made.nodes[1].connected() == ["node0"]


def test_r35_a_member_at_a_new_address_is_dialled_with_the_next_key() -> None:
    """The member is in the epoch that names it."""
    upcoming = dev_seed("node1 again")
    with net(2) as made:
        made.nodes.pop(0).close()
        asleep = made.nodes[1]
        made.until(lambda: not asleep.connected())
        asleep.dial_with_next_key(upcoming)
        members = (
            made.genesis.members[0],
            replace(made.genesis.members[1], public_key=public_key_of(upcoming)),
        )
        made.genesis = replace(made.genesis, members=members)
        made.ports.pop(0)
        made.start(0)
        asleep.redial("node0", made.ports[0])
        made.until(lambda: asleep.connected() == ["node0"])


def test_nothing_is_queued_for_a_member_that_is_away() -> None:
    """Statements queued during an outage would be stale; consensus sends again what is still needed."""
    with net(2) as two:
        two.nodes.pop(1).close()
        two.until(lambda: not two.nodes[0].connected())
        for _ in range(10):
            two.nodes[0].send(Send(to=1, frame=vote(b"stale")))
        two.start(1)
        two.until(two.meshed)
        two.nodes[0].send(Send(to=1, frame=vote(b"fresh")))
        assert [item.frame for item in collect(two.nodes[1], 1)] == [vote(b"fresh")]
        assert two.nodes[0].counters()["node1"].dropped_outbound == 10


def test_what_waits_for_a_member_is_dropped_with_its_connection() -> None:
    with net(2) as two:
        link = two.nodes[0]._links[1]
        two.nodes.pop(1).close()
        assert link.monitor.poll(PATIENCE * 1_000), "the connection ended, and this side has not noticed"
        link.outbound.put(lane_of(vote(b"stale")), vote(b"stale"))
        two.until(lambda: not two.nodes[0].connected())
        assert two.nodes[0].queues().outbound == 0
        assert two.nodes[0].counters()["node1"].dropped_outbound == 1
        two.start(1)
        two.until(two.meshed)
        two.nodes[0].send(Send(to=1, frame=vote(b"fresh")))
        assert [item.frame for item in collect(two.nodes[1], 1)] == [vote(b"fresh")]


# --- who is not heard ----------------------------------------------------------------------------


def test_a_plain_client_gets_nothing_and_is_not_heard() -> None:
    with net(1) as one:
        client = one.context().socket(zmq.DEALER)
        client.linger = 0
        client.connect(one.nodes[0].endpoint)
        client.send(vote(b"plain"))
        assert collect(one.nodes[0], 1, seconds=0.7) == []
        assert not client.poll(0)


@pytest.mark.parametrize("key_is", ["foreign", "removed member"])
def test_a_curve_client_with_a_foreign_key_gets_nothing_and_is_counted(key_is: str) -> None:
    with net(1) as one:
        seed = dev_seed("a stranger") if key_is == "foreign" else dev_seed("node9")
        dialler = one.dial(seed=seed)
        one.until(lambda: one.nodes[0].strangers >= 1)
        assert dialler.connected() == frozenset()
        assert dialler.send(0, vote(b"let me in")) is False


def test_a_dialler_does_not_talk_to_a_server_with_another_key() -> None:
    """A server on the port of node0 without node0's key is not accepted."""
    with net(2) as two:
        wrong = dev_genesis(3, "127.0.0.1", lambda index: 1 + index)
        two.genesis = wrong
        two.ports[2] = two.ports[1]
        dialler = two.dial()
        two.until(lambda: dialler.connected() == {0, 1})
        assert dialler.send(2, vote(b"for node2's eyes")) is False


def raw_dealer(four: Net, name: str, routing_id: bytes) -> zmq.Socket[bytes]:
    keys = curve_keys(dev_seed(name))
    socket = four.context().socket(zmq.DEALER)
    socket.linger = 0
    socket.routing_id = routing_id
    socket.curve_publickey = keys.public
    socket.curve_secretkey = keys.secret
    socket.curve_serverkey = curve_public(four.genesis.members[0].public_key)
    socket.connect(four.nodes[0].endpoint)
    return socket


def test_identity_never_comes_from_the_routing_id() -> None:
    """ROUTER identity games: a principal that calls itself node1 is the principal."""
    with net(2) as two:
        liar = raw_dealer(two, "learner", b"node1")
        liar.send(vote(b"I am node1"))
        [item] = collect(two.nodes[0], 1)
        assert (item.peer.name, item.peer.member) == ("learner", None)
        two.nodes[0].send(Send(to=1, frame=vote(b"secret of members")))
        assert [i.frame for i in collect(two.nodes[1], 1)] == [vote(b"secret of members")]
        assert not liar.poll(50)


def test_a_routing_id_reused_by_another_owner_gets_no_foreign_answer() -> None:
    with net(1) as one:
        first = raw_dealer(one, "gateway", b"same")
        first.send(bulk(b"question"))
        [asked] = collect(one.nodes[0], 1)
        first.close(0)
        one.until(lambda: one.nodes[0]._acceptor.route_of("gateway") is None)

        def claim() -> tuple[zmq.Socket[bytes], list[Inbound]] | None:
            """A ROUTER that has not let go of the first one ignores the second for good."""
            other = raw_dealer(one, "learner", b"same")
            other.send(bulk(b"mine now"))
            heard = collect(one.nodes[0], 1, seconds=3)
            if heard:
                return other, heard
            other.close(0)
            return None

        found = wait_until(claim, what="the name is free")
        assert found is not None
        second, [claimed] = found
        assert (claimed.peer.name, claimed.peer.route) == ("learner", asked.peer.route)
        one.nodes[0].answer(asked.peer, bulk(b"for the gateway"))
        assert not second.poll(50)


def test_pitfall_15_a_peer_with_many_connections_loses_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest connection of all is another peer's, and stays."""
    monkeypatch.setattr(acceptor, "ROUTES_MAX", 3)
    with net(1) as one:
        dealers, routes = [], []
        for name, route in (("learner", b"l"), ("gateway", b"1"), ("gateway", b"2"), ("gateway", b"3")):
            dealers.append(raw_dealer(one, name, route))
            dealers[-1].send(bulk(b"here"))
            [item] = collect(one.nodes[0], 1)
            routes.append(item.peer.route)
        owners = [one.nodes[0]._acceptor.owner(route) for route in routes]
        assert owners == ["learner", None, "gateway", "gateway"]


def test_a_message_of_several_frames_is_dropped_and_counted() -> None:
    with net(1) as one:
        socket = raw_dealer(one, "gateway", b"x")
        socket.send_multipart([vote(b"a"), vote(b"b"), vote(b"c")])
        socket.send(vote(b"single"))
        assert [item.frame for item in collect(one.nodes[0], 1)] == [vote(b"single")]
        assert one.nodes[0].malformed == 1


def test_a_frame_over_the_limit_ends_its_connection_before_it_is_decoded() -> None:
    with net(1) as one:
        socket = raw_dealer(one, "gateway", b"x")
        socket.send(b"\x94" + b"x" * (10 * 1024 * 1024))
        assert collect(one.nodes[0], 1, seconds=0.5) == []


def test_a_malformed_hello_registers_no_peer() -> None:
    with net(1) as one:
        socket = raw_dealer(one, "gateway", b"x")
        socket.send(encode_envelope(73, b"\x91\xc4\x03abc", b""))
        one.until(lambda: one.nodes[0].malformed == 1)


def test_a_principal_that_became_a_member_is_only_a_member() -> None:
    genesis = dev_genesis(1, "127.0.0.1", lambda index: 1)
    namesake = msgspec.structs.replace(genesis.principals[0], name="node0")
    renamed = msgspec.structs.replace(genesis, principals=(namesake,))
    keys, users = allowed_users(renamed, 0)
    assert (keys, users) == ({}, {})


# --- load ----------------------------------------------------------------------------------------


def test_pitfall_15_a_flooding_member_does_not_delay_the_others() -> None:
    with net(3) as three:
        for _ in range(3_000):
            three.nodes[1].send(Send(to=0, frame=vote(b"flood" * 20)))
        three.nodes[2].send(Send(to=0, frame=vote(b"quiet")))
        # All that was sent waits at the receiver before its first turn, so that no machine is too slow.
        deadline = time.monotonic() + PATIENCE
        counters = three.nodes[0].counters
        while counters()["node2"].frames_received == 0 or counters()["node1"].frames_received <= 64:
            assert time.monotonic() < deadline, "a flood waits, and one frame of somebody else"
            three.nodes[1].receive(0)
            three.nodes[0].wait(10 * MILLISECOND)
            three.nodes[0].receive(0)
        assert vote(b"quiet") in [item.frame for item in three.nodes[0].receive(64)], "in the first turn"


def test_a_slow_reader_costs_bounded_memory_and_delays_no_other() -> None:
    """The reader's queue drops its oldest; the other member gets every frame meanwhile."""
    with net(3) as three:
        # More than both ends of ZeroMQ (512 frames), the kernel and the bounded queue hold together.
        big = vote(b"x" * 100_000)
        received: list[Inbound] = []
        for number in range(SLOW_FRAMES):
            three.nodes[0].send(Send(to=1, frame=big))
            three.nodes[0].send(Send(to=2, frame=vote(b"%d" % number)))
            if number % 50 == 0:
                received += three.nodes[2].receive(256)
        deadline = time.monotonic() + PATIENCE
        while len(received) < SLOW_FRAMES and time.monotonic() < deadline:
            three.nodes[0].wait(MILLISECOND)
            three.nodes[0].receive(0)
            received += collect(three.nodes[2], 1, seconds=0.1)
        assert [item.frame for item in received] == [vote(b"%d" % number) for number in range(SLOW_FRAMES)]
        assert three.nodes[0].counters()["node1"].dropped_outbound > 0


def test_votes_overtake_bulk_that_waits() -> None:
    with net(2) as two:
        for _ in range(SLOW_FRAMES):
            two.nodes[0].send(Send(to=1, frame=bulk(b"x" * 20_000)))
        two.nodes[0].send(Send(to=1, frame=vote(b"urgent")))
        seen = 0
        while True:
            two.nodes[0].receive(0)
            two.nodes[0].wait(MILLISECOND)
            frames = [item.frame for item in collect(two.nodes[1], 1)]
            if vote(b"urgent") in frames:
                break
            seen += len(frames)
        assert seen < SLOW_FRAMES


def test_a_peer_with_bad_frames_is_muted_for_a_while_and_then_heard_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with net(2) as two:
        node = two.nodes[0]
        now = time.monotonic_ns()
        for module in (links, inbox):
            clock = SimpleNamespace(monotonic_ns=lambda: now, time_ns=time.time_ns)
            monkeypatch.setattr(module, "time", clock)
        mutes = [node.bad_frame("node1") for _ in range(16)]
        assert mutes[:15] == [0] * 15
        assert mutes[15] == 1_000 * MILLISECOND
        now += mutes[15] - 1
        two.nodes[1].send(Send(to=0, frame=vote(b"while muted")))
        two.until(lambda: node.counters()["node1"].dropped_inbound)
        now += 1
        two.nodes[1].send(Send(to=0, frame=vote(b"after it")))
        assert [item.frame for item in collect(node, 1)] == [vote(b"after it")]


def test_the_address_in_use_is_an_error_at_start() -> None:
    with net(1) as one, pytest.raises(zmq.ZMQError, match="in use"):
        one.start(0)


def arrivals(dialler: object, count: int) -> list[tuple[int, bytes]]:
    deadline = time.monotonic() + PATIENCE
    frames: list[tuple[int, bytes]] = []
    while len(frames) < count and time.monotonic() < deadline:
        frames += dialler.poll(20)  # type: ignore[attr-defined]
    return frames


def test_an_answer_to_an_unknown_route_is_dropped() -> None:
    with net(1) as one:
        one.nodes[0].answer(Peer(name="gateway", member=None, route=b"nowhere"), bulk(b"x"))
