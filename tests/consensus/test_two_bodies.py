"""One client, two bodies under one key: one for the primary, another for the backups (decision 0165)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.wire import FrameSigner
from simulator.cluster import Cluster
from simulator.network import LinkQuality
from simulator.world import Settings
from tests.consensus import helpers
from tests.consensus.world import MILLISECOND, SECOND, Callers, m, notes, views

OFTEN = MILLISECOND
FAR = LinkQuality(latency_min=20 * MILLISECOND, latency_max=25 * MILLISECOND)
"""What was proposed is under way nearly all the time, as beside a client that also keeps the queue long."""
OPENING = m.Operation("open_session", "", "", "rogue", "", 0, b"1")


class TwoTongues:
    """The principal of the last gateway: it tells the backups one request and keeps its place taken at the
    primary by others under the same key, which no execution accepts."""

    def __init__(self, cluster: Cluster, worthless: Callable[[Cluster], int]) -> None:
        self._cluster = cluster
        self._worthless = worthless
        self._gateway = cluster.gateways[-1]
        keyring = cluster.world.keyring
        secret = keyring.pair(self._gateway.principal)[1]
        self._signer = FrameSigner(cluster.world.cluster, secret, cluster.keys, scheme=keyring.scheme)
        self._told = 0

    def opening(self, valid_until: int) -> bytes:
        operation = msgspec.structs.replace(OPENING, valid_until=valid_until)
        return self._signer.sign(m.Bundle(0, self._gateway.principal, b"rogue", (0, 0), 0, 0, (operation,)))

    def begin(self) -> None:
        world = self._cluster.world
        self.hold()
        good = self.opening((self._gateway.clock.now().wall + 60 * SECOND) // 1_000)
        for name in world.member_names[1:]:
            world.transmit(self._gateway.name, name, good, world.time + 5 * MILLISECOND)

    def hold(self) -> None:
        world = self._cluster.world
        self._told += 1
        world.transmit(
            self._gateway.name,
            "r0",
            self.opening(self._worthless(self._cluster) + self._told % 100),
            world.time,
        )
        world.after(OFTEN, self.hold)


def too_far_ahead(cluster: Cluster) -> int:
    return 1 << 60


def just_expired(cluster: Cluster) -> int:
    """When it comes there: the newest batch's time lets it pass, the time of its own does not."""
    return (cluster.world.nodes["r0"].clock.now().wall + FAR.latency_min - MILLISECOND) // 1_000


@pytest.mark.parametrize("worthless", [too_far_ahead, just_expired])
def test_r30_openings_that_execution_rejects_cannot_depose_a_primary(
    worthless: Callable[[Cluster], int],
) -> None:
    cluster = Cluster(22, Settings(learners=0, gateways=3, quality=FAR))
    cluster.start()
    cluster.world.run_for(SECOND)
    suspected = notes(cluster, "suspected")
    callers = [Callers(gateway, 1, pause=100 * MILLISECOND) for gateway in cluster.gateways[:2]]
    TwoTongues(cluster, worthless).begin()
    cluster.world.run_for(8 * SECOND)
    assert (views(cluster), suspected) == ({0}, [])
    assert sum(each.unanswered for each in callers) == 0


def signed(cluster: helpers.Cluster, ticket: str, valid_until: int, session: tuple[int, int]) -> bytes:
    """All of one key, for a session."""
    operation = m.Operation("seed", "default", ticket, "actor", "m0", valid_until, b"", b"")
    if session == (0, 0):
        operation = msgspec.structs.replace(OPENING, valid_until=valid_until)
    return cluster.client.sign(m.Bundle(0, "gateway", b"client-1", session, 5, 0, (operation,)))


@pytest.mark.parametrize("passed_on", [(500, 900), (900, 500)], ids=["the_longest", "not_the_last"])
def test_r30_a_body_expiring_in_the_queue_blocks_no_lasting_one(
    passed_on: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never executed, so it settles nothing: a client could renew it for ever."""
    cluster = helpers.Cluster(4, pipeline=1)

    def refuse(self: object, bundle: m.Bundle, timestamp: int) -> Reason | None:
        waited = "T-1" in cluster[0].application.values
        return Reason.EXPIRED if waited and bundle.operations[0].valid_until < 900 else None

    monkeypatch.setattr(type(cluster[0].application), "refuse", refuse)
    cluster.request("T-1")
    primary = cluster[0]
    primary.hear(None, signed(cluster, "short", 100, (1, 0)))
    for end in passed_on:
        primary.hear(cluster[2], signed(cluster, f"long-{end}", end, (1, 0)))
    primary.hear(None, signed(cluster, "a-client-says", 1_000, (1, 0)))
    assert primary.core.snapshot().pending == 2
    cluster.stabilize()
    for node in cluster.nodes:
        assert node.application.values.keys() == {"T-1", "long-900"}, "what a member waits for goes first"
        assert len(node.core.policy.pool) == 0


@pytest.mark.parametrize(("end", "stays"), [(100, True), (900, True), (901, False), (1_000, False)])
def test_r30_an_opening_waits_on_if_one_expiring_earlier_failed(end: int, stays: bool) -> None:
    """A censoring primary holds expired ones of each client. If one that expires later failed, this one would
    have failed too.
    """
    cluster = helpers.Cluster(4)
    cluster.drop(lambda _s, _t, _m: True)
    clients = cluster[1].core.policy.clients
    cluster[1].hear(None, signed(cluster, "", 901, (0, 0)))
    executed = cluster.verified(signed(cluster, "", end, (0, 0)), 0).bundle
    assert isinstance(executed, VerifiedBundle)
    clients.leave_pool(executed)
    assert len(cluster[1].core.policy.pool) == stays


def test_r30_a_skipped_body_removes_no_other_of_its_session() -> None:
    cluster = helpers.Cluster(4)
    cluster.drop(lambda _s, _t, _m: True)
    cluster[1].hear(None, signed(cluster, "T-1", 500, (1, 0)))
    skipped = cluster.verified(signed(cluster, "T-2", 900, (1, 0)), 0).bundle
    assert skipped is not None
    cluster[1].core.policy.clients.leave_pool(skipped)
    assert len(cluster[1].core.policy.pool) == 1


def test_r30_a_body_behind_counts_as_a_members_once_one_passes_it_on() -> None:
    """The member that passed it on first keeps it: the client's next body no longer takes its place."""
    cluster = helpers.Cluster(4)
    primary = cluster[0]
    primary.hear(None, signed(cluster, "first", 100, (1, 0)))
    kept = signed(cluster, "kept", 500, (1, 0))
    primary.hear(None, kept)
    primary.hear(cluster[2], kept)
    primary.hear(None, signed(cluster, "a-client-says", 1_000, (1, 0)))
    (item,) = primary.core.policy.pool
    assert (item.behind.frame, item.passed_on) == (kept, 2)
    primary.hear(None, kept)
    assert item.passed_on == 2, "its client repeats it"
    primary.core.policy.clients.leave_pool(item.bundle)
    (item,) = primary.core.policy.pool
    assert (item.bundle.frame, item.told_by) == (kept, (2,)), "that member still waits for it"
