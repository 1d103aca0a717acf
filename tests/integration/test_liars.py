"""X21 to X23 with real processes: a member's key in a liar's hands moves nothing but suspicion.

The liar's own process does not run; it is played here with its key, as `test_node_attacks` does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import zmq

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue, OpenSession
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import decode_envelope, link_frame
from dtvn.protocol.wire.envelope import encode_envelope
from tests.integration.node_cluster import Cluster, operation, running_cluster, submit
from tests.integration.test_node_attacks import Actor
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive]

MEMBERS = 4
SUSPICIONS = 40
ROUNDS = 5


@contextmanager
def played(cluster: Cluster, name: str, *targets: int) -> Iterator[list[Actor]]:
    """The same liar towards several nodes."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with ExitStack() as stack:
            actors = [Actor(cluster, context, name, to=target) for target in targets]
            for actor in actors:
                stack.enter_context(closing(actor.dialler))
            yield actors
    finally:
        context.destroy(linger=0)


def proposal(liar: Actor, client: Actor, nonce: bytes) -> bytes:
    """What the primary of view 0 would propose first: a batch that only its nonce tells from another."""
    bundle = m.Bundle(0, "gateway", b"forger--", (0, 0), 0, 0, (operation(OpenSession(), nonce=nonce),))
    batch = m.Batch(0, time.time_ns() // 1_000, (client.seal(bundle),))
    digest = m.batch_digest(0, batch.proposed, (m.bundle_digest(canonical.encode(bundle)),))
    return liar.seal(m.PrePrepare(0, 0, 0, 1, digest), canonical.encode(batch))


def forged(frame: bytes) -> bytes:
    """The same again with another signature: refused and counted, so all before it was read."""
    envelope, _ = decode_envelope(frame)
    return encode_envelope(envelope.kind, envelope.body, bytes(64), envelope.attachment)


def test_x21_an_equivocating_primary_causes_no_fork_and_is_replaced(tmp_path: Path) -> None:
    """node1 gets one proposal for the first sequence, node2 and node3 get another."""
    with Cluster(tmp_path, MEMBERS) as cluster:
        cluster.start(1, 2, 3)
        gateway = cluster.gateway()
        for index in (1, 2, 3):
            cluster.status_of(gateway, index)
        with played(cluster, "node0", 1, 2, 3) as liars, played(cluster, "gateway", 1) as [client]:
            one, other = (proposal(liars[0], client, nonce) for nonce in (b"one", b"other"))
            assert one != other
            for liar, frame in zip(liars, (one, other, other), strict=True):
                liar.send(frame)
                liar.send(forged(frame))

            def heard() -> bool:
                told = [cluster.status_of(gateway, index)["refused"] for index in (1, 2, 3)]
                return all(refused.get("node0") for refused in told)

            wait_until(heard, what="each has read its proposal and what came behind it")
            [issued] = submit(gateway, [operation(Issue(), "T-1")])
        assert issued.code == "ok", cluster.outputs()
        cluster.settled()
        found = [cluster.status_of(gateway, index) for index in (1, 2, 3)]
        assert min(status["view"] for status in found) >= 1, "the Byzantine primary was deposed"
        assert {state_of(cluster, gateway, index, "T-1") for index in (1, 2, 3)} == {"ISSUED"}
        assert same_history(cluster, (1, 2, 3))


def state_of(cluster: Cluster, gateway: Gateway, index: int, ticket: str) -> str:
    """As this node has it."""
    return str(cluster.ticket(gateway, index, ticket)["ticket"]["State"])


def same_history(cluster: Cluster, indices: tuple[int, ...]) -> bool:
    """Whether these nodes come to one state root at a stable checkpoint."""
    gateway = cluster.gateway()
    cluster.ready(gateway)
    for number in range(12):
        [issued] = submit(gateway, [operation(Issue(), f"FILL-{number}")])
        assert issued.code == "ok"

    def roots() -> set[tuple[int, str]]:
        found = [cluster.status_of(gateway, index) for index in indices]
        return {(status["stable"], status["state_root"]) for status in found}

    def one() -> set[tuple[int, str]]:
        found = roots()
        return found if len(found) == 1 and min(found)[0] > 0 else set()

    [(_stable, root)] = wait_until(one, what=lambda: f"one root: {roots()}")
    return bool(root)


def one_view(cluster: Cluster, gateway: Gateway, indices: tuple[int, ...]) -> int:
    """The view in which these nodes are."""

    def views() -> set[int]:
        return {cluster.status_of(gateway, index)["view"] for index in indices}

    return wait_until(lambda: found if len(found := views()) == 1 else set(), what="one view").pop()


def suspects(liars: list[Actor], gateway: Gateway, view: int, name: str) -> None:
    """The liars send SUSPECT for later views without cause while the others decide."""
    for number in range(SUSPICIONS):
        for liar in liars:
            liar.send(liar.seal(m.Suspect(0, 3, view + 1 + number % 3, "silent_primary")))
        if number % 4 == 0:
            [issued] = submit(gateway, [operation(Issue(), f"{name}-{number}")])
            assert issued.code == "ok"


def test_x22_an_impatient_member_changes_no_view_and_stays_connected(tmp_path: Path) -> None:
    with running_cluster(tmp_path, MEMBERS) as (cluster, gateway):
        cluster.kill(3)
        with played(cluster, "node3", 0, 1, 2) as liars:
            # A slow machine gives an honest member a cause too now and then; the liar has none in any round.
            for number in range(ROUNDS):
                view = one_view(cluster, gateway, (0, 1, 2))
                suspects(liars, gateway, view, f"ROUND-{number}")
                heard = [cluster.status_of(gateway, index) for index in (0, 1, 2)]
                if {status["view"] for status in heard} == {view}:
                    break
            else:
                pytest.fail(f"the view moved in each of {ROUNDS} rounds\n{cluster.outputs()}")
        assert [status["events"].get("muted", 0) for status in heard] == [0, 0, 0]
        assert all(status["events"].get("suspect_heard") for status in heard), "they have heard it"
        cluster.start(3)
        cluster.status_of(gateway, 3)
        cluster.settled()
        cluster.kill(2)
        [needed] = submit(gateway, [operation(Issue(), "T-needs-node3")])
        assert needed.code == "ok", "its vote counts: without node2 three are all there are"


def test_x23_an_unsigned_state_changes_nothing(tmp_path: Path) -> None:
    """A made-up end of the log, in which a consumed ticket is issued again, with votes of one liar."""
    with running_cluster(tmp_path, MEMBERS) as (cluster, gateway):
        issued, admitted = submit(gateway, [operation(Issue(), "T-1"), operation(Admit(), "T-1")])
        assert (issued.code, admitted.code) == ("ok", "ok")
        cluster.kill(3)
        sequence = cluster.status_of(gateway, 0)["sequence"] + 1
        with played(cluster, "node3", 0) as [liar], played(cluster, "gateway", 0) as [client]:
            bundle = m.Bundle(0, "gateway", b"forger--", (1, 0), 9, 0, (operation(Issue(), "T-1"),))
            body = canonical.encode(m.Batch(0, time.time_ns() // 1_000, (client.seal(bundle),)))
            entry = m.Entry(0, sequence, bytes(32), bytes(32), 2**60, bytes(32))
            votes = tuple(
                liar.seal(m.Commit(0, sender, 0, sequence, entry.batch_digest)) for sender in range(3)
            )
            for _ in range(20):
                liar.send(link_frame(m.Entries(((entry, body, votes),), ())))
                liar.send(link_frame(m.Entries(((entry, body, ()),), votes)))
            wait_until(
                lambda: cluster.status_of(gateway, 0)["refused"].get("node3"),
                what="what it was told is counted",
            )
            [later] = submit(gateway, [operation(Issue(), "T-2")])
        assert later.code == "ok"
        cluster.settled()
        for index in (0, 1, 2):
            assert state_of(cluster, gateway, index, "T-1") == "CONSUMED"
            assert state_of(cluster, gateway, index, "T-2") == "ISSUED"
        assert same_history(cluster, (0, 1, 2))
