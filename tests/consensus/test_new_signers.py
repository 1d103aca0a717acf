"""The log lists a principal, and soon after holds its requests: a replica that fetches both at once lacks the
key for the second part when the first arrives (R15, R23, R28).
"""

from __future__ import annotations

import pytest

from dtvn.protocol.canonical import decode, encode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Inbound
from dtvn.protocol.wire import Envelope, FrameSigner, PeerError
from tests.consensus.helpers import Cluster, Keys, Node
from tests.consensus.test_learner import Following

LISTED = "lists the latecomer"


class OrderedKeys:
    """As a node has them: a principal's key is known once the operation that lists it was executed."""

    def __init__(self, node: Node, keys: Keys, latecomer: bytes) -> None:
        self._node = node
        self._keys = keys
        self._latecomer = latecomer

    def member_key(self, epoch: int, index: int) -> bytes | None:
        return self._keys.member_key(epoch, index)

    def principal_key(self, name: str) -> bytes | None:
        if name != "latecomer":
            return self._keys.principal_key(name)
        return self._latecomer if LISTED in self._node.application.values else None


class Latecomer:
    """A principal that an ordered operation lists."""

    def __init__(self, cluster: Cluster) -> None:
        public, secret = cluster.keys.scheme.pair("latecomer")
        self._signer = FrameSigner(b"c" * 32, secret, cluster.keys, scheme=cluster.keys.scheme)
        for node in cluster.nodes:
            node.door.keys = OrderedKeys(node, cluster.keys, public)

    def bundle(self, number: int) -> bytes:
        operation = m.Operation("seed", "default", f"L-{number}", "actor", "m0", 1 << 60, b"", b"v")
        return self._signer.sign(m.Bundle(0, "latecomer", b"client-2", (2, 0), number, 0, (operation,)))


def history(cluster: Cluster, latecomer: Latecomer) -> int:
    """Members 0 to 2 execute requests, the listing, and requests of whom it lists; where the listing is."""
    for number in range(7):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    cluster.request(LISTED)
    cluster.stabilize()
    listed = cluster.executed()[0]
    for number in range(6):
        cluster[0].hear(None, latecomer.bundle(number))
        cluster.stabilize()
    assert cluster.executed()[:3] == [listed + 6] * 3
    return listed


def test_r15_catch_up_takes_a_range_with_a_new_principals_first_request() -> None:
    cluster = Cluster(4)
    latecomer = Latecomer(cluster)
    cluster.cut(3)
    history(cluster, latecomer)
    cluster.heal()
    cluster.advance(2_000)
    assert len(set(cluster.executed())) == 1
    cluster.agree()
    assert "L-5" in cluster[3].application.values


def test_r15_a_learner_follows_past_a_new_principals_first_request_at_once() -> None:
    cluster = Following()
    latecomer = Latecomer(cluster)
    cluster.follows.clear()
    history(cluster, latecomer)
    cluster.follows = {0: 1}
    cluster.push()
    cluster.push()
    assert cluster.learner.log == cluster[0].log


@pytest.mark.parametrize("certified", [False, True])
def test_r15_the_door_reads_a_range_as_far_as_it_has_keys(certified: bool) -> None:
    """What a certificate of q members covers needs no keys; above it, what comes before the unknown name."""
    cluster = Cluster(4)
    latecomer = Latecomer(cluster)
    cluster.cut(3)
    listed = history(cluster, latecomer)
    entries = cluster[0].journal.range(1, listed + 2)
    assert entries is not None
    if certified:
        entries = m.Entries(entries.entries, cluster[0].journal.checkpoints[-1].frames)
    lagging = cluster[3]
    header = lagging.door.peek(Inbound(cluster[0].peer, cluster[0].signer.link(entries)))
    found = lagging.door.verify(header)
    assert len(found.batches) == (len(entries.entries) if certified else listed)
    read = [batch.body for batch in found.batches if batch is not None]
    assert read == [body for _entry, body, _ in entries.entries][: len(read)]


def test_r15_a_range_with_an_unknown_first_signer_or_a_forgery_is_refused() -> None:
    cluster = Cluster(4)
    latecomer = Latecomer(cluster)
    cluster.cut(3)
    listed = history(cluster, latecomer)
    unknown = cluster[0].journal.range(listed + 1, listed + 2)
    good = cluster[0].journal.range(1, 3)
    assert unknown is not None
    assert good is not None
    last, _body, commits = good.entries[-1]
    request = decode(Envelope, cluster.bundle("T-forged"))
    forged = encode(Envelope(request.kind, request.body, b"f" * 64, b""))
    body = encode(m.Batch(0, 5, (forged,)))
    cases = (
        (unknown, Reason.UNKNOWN_SENDER),
        (m.Entries((*good.entries[:-1], (last, body, commits)), ()), Reason.BAD_SIGNATURE),
    )
    for entries, reason in cases:
        header = cluster[3].door.peek(Inbound(cluster[0].peer, cluster[0].signer.link(entries)))
        with pytest.raises(PeerError) as raised:
            cluster[3].door.verify(header)
        assert raised.value.reason is reason
