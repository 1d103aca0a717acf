"""A real node does not answer outsiders and liars, and counts them (issue 2 item 13, P2, P15)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from nacl import bindings

from dtvn.gateway import Gateway
from dtvn.machine import Issue, OpenSession
from dtvn.net import Dialler, curve_keys, curve_public, read_seed
from dtvn.node.keys import dev_seed
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.host import INBOUND_MAX
from dtvn.protocol.scheme import ED25519
from dtvn.protocol.wire import decode_envelope, kind_of, link_frame, signed_bytes
from dtvn.protocol.wire.envelope import encode_envelope
from tests.integration.node_cluster import Cluster, operation, running_cluster, submit
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

MEMBERS = 4
BAD_FRAMES_BEFORE_A_MUTE = 15


def node_address(cluster: Cluster) -> str:
    member = cluster.genesis.members[0]
    return f"tcp://{member.host}:{member.port}"


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


def test_a_plain_zeromq_client_gets_no_answer(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with running_cluster(tmp_path, 1) as (cluster, gateway):
        sockets = []
        for kind in (zmq.DEALER, zmq.REQ, zmq.SUB):
            plain = context.socket(kind)
            plain.connect(node_address(cluster))
            if kind == zmq.SUB:
                plain.subscribe(b"")
            else:
                plain.send(link_frame(m.Query(number=1, what="status", arguments=())))
            sockets.append(plain)
        [issued] = submit(gateway, [operation(Issue(), "T-1")])
        assert issued.code == "ok"
        assert not any(socket.poll(700) for socket in sockets)
        for socket in sockets:
            socket.close(0)


def test_a_curve_client_with_a_foreign_key_gets_nothing_and_is_counted(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with running_cluster(tmp_path, 1) as (cluster, gateway):
        before = cluster.status_of(gateway, 0)["strangers"]
        keys = curve_keys(dev_seed("gateway"))  # a real key, of another network
        stranger = context.socket(zmq.DEALER)
        stranger.curve_publickey = keys.public
        stranger.curve_secretkey = keys.secret
        stranger.curve_serverkey = curve_public(cluster.genesis.members[0].public_key)
        stranger.connect(node_address(cluster))
        stranger.send(link_frame(m.Query(number=1, what="status", arguments=())))
        wait_until(
            lambda: cluster.status_of(gateway, 0)["strangers"] > before,
            what="the stranger is counted",
        )
        assert not stranger.poll(500)
        stranger.close(0)


class Actor:
    """Speaks to one node, node0 unless told, with the real key of a member or principal, and may forge."""

    def __init__(
        self, cluster: Cluster, context: zmq.Context[zmq.Socket[bytes]], name: str, *, to: int = 0
    ) -> None:
        self.name = name
        index = next((i for i, member in enumerate(cluster.genesis.members) if member.id == name), None)
        path = cluster.folder.gateway_key if index is None else cluster.node(index).key
        seed = read_seed(path)
        self.index = index
        self._cluster = cluster_id(cluster.genesis)
        self._secret = bindings.crypto_sign_seed_keypair(seed)[1]
        alone = msgspec.structs.replace(cluster.genesis, members=cluster.genesis.members[to : to + 1])
        client = b"" if index is not None else b"forger--"
        self.dialler = Dialler(context, alone, seed, hello=m.Hello(client=client))
        wait_until(
            lambda: (self.dialler.poll(50), self.dialler.connected())[1], what=f"node{to} accepts", pause=0
        )

    def seal(self, message: Any, attachment: bytes = b"") -> bytes:
        """A frame as its owner would sign it."""
        kind = kind_of(message)
        body = canonical.encode(message)
        signature = ED25519.sign(self._secret, signed_bytes(self._cluster, kind, body))
        return encode_envelope(kind, body, signature, attachment)

    def send(self, frame: bytes) -> None:
        """Over a link that stands: it is cut where a machine stands still for 600 ms, and made anew."""
        wait_until(
            lambda: (self.dialler.poll(0), self.dialler.send(0, frame))[1], what=f"{self.name} is connected"
        )
        self.dialler.poll(0)

    def send_until(self, frame: bytes, seen: Callable[[], bool], what: str) -> int:
        """Again where the link was cut, and the frame perhaps with it; how often it was sent."""
        sent = link = 0

        def look() -> bool:
            nonlocal sent, link
            if link != (now := self._links()):
                sent, link = sent + 1, now
                self.send(frame)
            return seen()

        wait_until(look, what=what)
        return sent

    def _links(self) -> int:
        """How many there were until now."""
        self.dialler.poll(0)
        return self.dialler._links[0].counters.connects


def other(value: Any) -> Any:
    """A near value of the same type: one bit, one step, one character."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:] if value else b"\1"
        case str():
            return value + "x"
        case tuple():
            return (*value[:-1], other(value[-1])) if value else (1,)
        case m.Operation():
            return msgspec.structs.replace(value, ticket=other(value.ticket))
    raise TypeError(type(value))


def forgeries(frame: bytes) -> Iterator[tuple[str, bytes]]:
    """The frame with each signed field changed in turn, and with a flipped bit in its signature."""
    envelope, message = decode_envelope(frame)
    for field in message.__struct_fields__:
        changed = msgspec.structs.replace(message, **{field: other(getattr(message, field))})
        yield (
            field,
            encode_envelope(
                envelope.kind, canonical.encode(changed), envelope.signature, envelope.attachment
            ),
        )
    flipped = bytes([envelope.signature[0] ^ 1]) + envelope.signature[1:]
    yield "signature", encode_envelope(envelope.kind, envelope.body, flipped, envelope.attachment)


def refusals(cluster: Cluster, gateway: Gateway, name: str) -> dict[str, int]:
    refused = cluster.status_of(gateway, 0).get("refused", {}).get(name, {})
    assert isinstance(refused, dict)
    return refused


def statements(sender: int) -> list[Any]:
    """Statements that node0 in view 0 at the start of the log would take from this member."""
    digest = bytes(range(32))
    return [
        m.Prepare(epoch=0, sender=sender, view=0, sequence=9, digest=digest),
        m.Commit(epoch=0, sender=sender, view=0, sequence=9, digest=digest),
        m.Checkpoint(epoch=0, sender=sender, sequence=10, state_root=digest, log_root=digest, timestamp=1),
        m.Suspect(epoch=0, sender=sender, view=1, reason="silent"),
        m.Status(
            epoch=0,
            sender=sender,
            view=0,
            changing=False,
            executed=0,
            stable=0,
            proposed=0,
            missing=(),
            voting=True,
        ),
    ]


@pytest.mark.exhaustive
def test_a_flipped_byte_in_any_signed_field_is_refused_and_counted(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """P2: for each field: change it, keep the signature, and it must be refused.

    node0 is real and alone; node1 to node3 are played here with their own keys. A link is muted after
    sixteen forgeries, so each statement gets a liar of its own, and a restarted node where needed.
    """
    with Cluster(tmp_path, MEMBERS) as cluster:
        for round_, names in enumerate((("node1", "node2", "node3"), ("node1", "node2"))):
            cluster.start(0)
            gateway = cluster.gateway()
            cluster.status_of(gateway, 0)
            for position, name in enumerate(names):
                actor = Actor(cluster, context, name)
                statement = statements(int(name[-1]))[3 * round_ + position]
                sealed = actor.seal(statement)
                sent = forged = 0
                for field, frame in forgeries(sealed):
                    before = sum(refusals(cluster, gateway, name).values())
                    forged += 1
                    sent += actor.send_until(
                        frame,
                        lambda: sum(refusals(cluster, gateway, name).values()) > before,  # noqa: B023
                        f"{type(statement).__name__}.{field} of {name} is refused and counted",
                    )
                found = refusals(cluster, gateway, name)
                assert forged <= sum(found.values()) <= sent, found
                assert found["bad_signature"] >= 2, found
                actor.send(sealed)
                assert forged <= BAD_FRAMES_BEFORE_A_MUTE
                actor.dialler.close()
            assert cluster.stop(0) == [0]


def dated(opening: Operation) -> Operation:
    """Valid for as long as the test may take, as a gateway dates what it sends."""
    until = time.time_ns() // 1_000 + int(PATIENCE * 1_000_000)
    return msgspec.structs.replace(opening, valid_until=until)


@pytest.mark.exhaustive
def test_a_flipped_byte_in_any_field_of_a_request_is_refused_and_counted(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with running_cluster(tmp_path, 1) as (cluster, gateway):
        actor = Actor(cluster, context, "gateway")
        bundle = m.Bundle(
            epoch=0,
            principal="gateway",
            client=b"forger--",
            session=(0, 0),
            number=0,
            done_below=0,
            operations=(dated(operation(OpenSession(), nonce=b"forger")),),
        )
        sealed = actor.seal(bundle)
        cluster.settled()
        sequence = cluster.status_of(gateway, 0)["sequence"]
        for field, frame in forgeries(sealed):
            before = sum(refusals(cluster, gateway, "gateway").values())
            actor.send_until(
                frame,
                lambda: sum(refusals(cluster, gateway, "gateway").values()) > before,  # noqa: B023
                f"Bundle.{field} is refused and counted",
            )
        assert cluster.status_of(gateway, 0)["sequence"] == sequence
        actor.send_until(
            sealed,
            lambda: cluster.status_of(gateway, 0)["sequence"] > sequence,
            "the same bundle, whole, is ordered",
        )
        actor.dialler.close()


def test_pitfall_15_a_liar_is_muted_and_the_others_go_on(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with Cluster(tmp_path, MEMBERS) as cluster:
        cluster.start(0, 1, 2)
        gateway = cluster.gateway()
        cluster.ready(gateway)
        liar = Actor(cluster, context, "node3")
        wait_until(lambda: muted_after_a_flood(cluster, gateway, liar), what=cluster.outputs, pause=0.2)
        for number in range(20):
            [issued] = submit(gateway, [operation(Issue(), f"T-{number}")])
            assert issued.code == "ok"
        status = cluster.status_of(gateway, 0)
        mutes = status["events"]["muted"]
        looked_at = status["refused"]["node3"]["bad_signature"]
        assert looked_at <= INBOUND_MAX + mutes * (BAD_FRAMES_BEFORE_A_MUTE + 1), (
            "one turn's worth, then mutes"
        )
        liar.dialler.close()


def muted_after_a_flood(cluster: Cluster, gateway: Gateway, liar: Actor) -> bool:
    """Send 500 forged votes of the kind that the node would look at now: one for a view that it left, as a
    slow machine may have it, costs it no signature and its sender no mute."""
    status = cluster.status_of(gateway, 0)
    vote = m.Prepare(0, 3, status["view"], status["sequence"] + 5, bytes(32))
    forged = encode_envelope(kind_of(vote), canonical.encode(vote), bytes(64))
    for _ in range(500):
        liar.dialler.send(0, forged)
    liar.dialler.poll(0)
    return cluster.status_of(gateway, 0)["events"].get("muted", 0) >= 1


@pytest.mark.exhaustive
@pytest.mark.backend
def test_r11_a_node_with_a_deleted_ledger_follows_without_a_vote(tmp_path: Path) -> None:
    with running_cluster(tmp_path, MEMBERS) as (cluster, gateway):
        cluster.settled()  # all four run: three are enough to commit, and the last one may only be starting
        for number in range(15):
            submit(gateway, [operation(Issue(), f"T-{number}")])
        cluster.settled()
        assert cluster.stop(3) == [0]
        cluster.lose_ledger(3)
        cluster.start(3)
        cluster.status_of(gateway, 3)
        for number in range(15, 30):
            [issued] = submit(gateway, [operation(Issue(), f"T-{number}")])
            assert issued.code == "ok"
        cluster.settled()
        status = cluster.status_of(gateway, 3)
        assert (status["state"], status["voting"]) == ("following", False)
        assert "ledger was lost" in status["voting_reason"]
        assert "follower reason=" in cluster.output(3)
        # The log goes on meanwhile: empty batches are ordered for the member that waits for its vote.
        own = {"node_id": "node3", "sequence": 0}
        assert cluster.ticket(gateway, 3, "T-3") | own == cluster.ticket(gateway, 0, "T-3") | own
        # It stays a follower through a further restart, and the others are enough without it.
        assert cluster.stop(3) == [0]
        cluster.start(3)
        assert cluster.status_of(gateway, 3)["voting"] is False
        cluster.kill(2)
        [unknown] = submit(gateway, [operation(Issue(), "T-x")], wait=3.0)
        assert unknown.code != "ok", "two voters of four are no quorum: the follower must not have voted"
