"""Whole clusters in virtual time: slow or biased primaries (R30, R32), and healthy ones under load.
Throughput of these worlds is bound by links and disks of some hundred microseconds and by the callers.
"""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus.causes import SLOW, UNFAIR
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.wire import Envelope, FrameSigner
from simulator.cluster import Cluster
from simulator.node import Costs
from tests.consensus.world import MILLISECOND, SECOND, Callers, looks, m, make, notes, views

pytestmark = pytest.mark.exhaustive

PAUSE = 25 * MILLISECOND
"""Between an answer and the next call."""


def clean_rate(members: int, at_once: int, seed: int) -> float:
    """Calls a second that a primary without malice serves."""
    cluster = make(seed, members=members)
    callers = [Callers(gateway, at_once, pause=PAUSE) for gateway in cluster.gateways]
    cluster.world.run_for(SECOND)
    begin = cluster.world.time
    cluster.world.run_for(SECOND)
    return sum(each.throughput(begin, cluster.world.time) for each in callers)


def last_second(cluster: Cluster, callers: list[Callers]) -> float:
    begin = cluster.world.time
    cluster.world.run_for(SECOND)
    return sum(each.throughput(begin, cluster.world.time) for each in callers)


@pytest.mark.parametrize("members", [4, 7])
def test_p21_r32_a_primary_that_delays_each_proposal_is_deposed(members: int) -> None:
    """Row 21: 680 ms, below T. Throughput returns to 90 % of what an honest primary gives."""
    cluster = make(21, members=members, liars={"r0": "slow-primary"})
    suspected = notes(cluster, "suspected")
    callers = [Callers(gateway, 1, pause=PAUSE) for gateway in cluster.gateways]
    began = cluster.world.time
    assert cluster.world.run_for(15 * SECOND, done=lambda: views(cluster) == {1})
    assert SLOW in {fields["reason"] for _name, fields in suspected}
    assert cluster.world.time - began < 10 * SECOND
    patience = {look.timeout for look in looks(cluster).values()}
    assert patience == {800 * MILLISECOND}, "nothing else was late: a liar could wait for T to rise"
    cluster.world.run_for(SECOND)
    assert last_second(cluster, callers) >= 0.9 * clean_rate(members, 1, seed=21)
    assert views(cluster) == {1}


@pytest.mark.parametrize("members", [4, 7])
def test_r30_a_primary_that_starves_one_client_is_deposed(members: int) -> None:
    cluster = make(22, members=members, liars={"r0": "censor"})
    suspected = notes(cluster, "suspected")
    callers = [Callers(gateway, 1, pause=PAUSE) for gateway in cluster.gateways]
    began = cluster.world.time
    assert cluster.world.run_for(10 * SECOND, done=lambda: views(cluster) == {1})
    assert UNFAIR in {fields["reason"] for _name, fields in suspected}
    assert cluster.world.time - began < 5 * SECOND, "4 T and a view change"
    cluster.world.run_for(SECOND)
    before = cluster.world.time
    assert last_second(cluster, callers) >= 0.9 * clean_rate(members, 1, seed=22)
    assert all(each.throughput(before, cluster.world.time) > 0 for each in callers), "the starved one too"


class DuplicateSessionClient:
    """Bundles of one principal that name the sessions and numbers of another's: each is worthless."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.victim, rogue = cluster.gateways[1], cluster.gateways[2]
        self._rogue = rogue
        keyring = cluster.world.keyring
        secret = keyring.pair(rogue.principal)[1]
        self._signer = FrameSigner(cluster.world.cluster, secret, cluster.keys, scheme=keyring.scheme)

    def targets(self, bundle: m.Bundle) -> bool:
        return bundle.principal == self.victim.principal and bundle.session != (0, 0)

    def forge(self, bundle: m.Bundle) -> VerifiedBundle:
        named = msgspec.structs.replace(bundle, principal=self._rogue.principal, client=b"rogue")
        frame = self._signer.sign(named)
        return VerifiedBundle(named, m.bundle_digest(canonical.decode(Envelope, frame).body), frame)

    def lead(self, core: Replica, *, ordered: bool) -> None:
        """This primary proposes none of the victim's requests; `ordered`: it fills their places."""
        collect = core.policy.next_batch

        def censored() -> list[VerifiedBundle]:
            found = collect()
            kept = [each for each in found if not self.targets(each.bundle)]
            return kept + [self.forge(b.bundle) for b in found if ordered and self.targets(b.bundle)]

        core.policy.next_batch = censored  # type: ignore[method-assign]

    def whisper(self) -> None:
        """From now on every backup receives each request that waits there, and some of them twice."""
        world = self._cluster.world
        for name in world.member_names[1:]:
            core = world.nodes[name].core
            for item in list(core.policy.pool) if core is not None else ():
                if self.targets(item.bundle.bundle):
                    world.transmit(self._rogue.name, name, self.forge(item.bundle.bundle).frame, world.time)
        world.after(400 * MILLISECOND, self.whisper)


@pytest.mark.parametrize("where", ["in_the_log", "at_the_backups"])
def test_r30_worthless_requests_naming_its_victims_do_not_hide_a_censor(where: str) -> None:
    """The waiting request is the victim's, although others name its session and number."""
    cluster = make(22, gateways=3)
    cluster.world.nodes["r0"].honest = False
    rogue = DuplicateSessionClient(cluster)
    core = cluster.world.nodes["r0"].core
    assert core is not None
    rogue.lead(core, ordered=where == "in_the_log")
    if where == "at_the_backups":
        rogue.whisper()
    suspected = notes(cluster, "suspected")
    callers = [Callers(gateway, 2, pause=PAUSE) for gateway in cluster.gateways]
    began = cluster.world.time
    assert cluster.world.run_for(10 * SECOND, done=lambda: views(cluster) == {1})
    assert UNFAIR in {fields["reason"] for _name, fields in suspected}
    assert cluster.world.time - began < 5 * SECOND, "4 T and a view change"
    cluster.world.run_for(SECOND)
    before = cluster.world.time
    assert last_second(cluster, callers) > 0
    assert callers[1].throughput(before, cluster.world.time) > 0, "the starved one too"


def test_r32_slow_primaries_are_deposed_half_a_minute_apart() -> None:
    """At most one deposition for slowness in 30 s, so that a wrong judgement cannot spin the view."""
    cluster = make(23, liars={"r0": "slow-primary", "r1": "slow-primary"})
    callers = [Callers(gateway, 1, pause=PAUSE) for gateway in cluster.gateways]
    assert cluster.world.run_for(15 * SECOND, done=lambda: views(cluster) == {1})
    first = cluster.world.time
    assert cluster.world.run_for(45 * SECOND, done=lambda: views(cluster) == {2})
    assert 29 * SECOND < cluster.world.time - first < 40 * SECOND
    assert last_second(cluster, callers) > 30


SOME_DISKS = Costs(sync_min=4 * MILLISECOND, sync_max=8 * MILLISECOND)
SLOW_DISKS = Costs(sync_min=20 * MILLISECOND, sync_max=60 * MILLISECOND)
SMALL_BATCHES = Parameters(batch_operations_max=40)


@pytest.mark.parametrize("costs", [SOME_DISKS, SLOW_DISKS], ids=["disks", "slow_disks"])
def test_r32_a_healthy_primary_stays_through_a_burst_and_falling_load(costs: Costs) -> None:
    """Quiet, then many full batches at once, then less and less."""
    cluster = make(24, gateways=3, costs=costs, parameters=SMALL_BATCHES)
    suspected = notes(cluster, "suspected")
    quiet = [Callers(gateway, 1, pause=100 * MILLISECOND) for gateway in cluster.gateways]
    cluster.world.run_for(SECOND)
    burst = [Callers(gateway, 4, operations=40) for gateway in cluster.gateways]
    cluster.world.run_for(2 * SECOND)
    for each in burst[1:]:
        each.busy = False
    cluster.world.run_for(SECOND)
    burst[0].busy = False
    cluster.world.run_for(2 * SECOND)
    assert views(cluster) == {0}
    assert suspected == []
    assert sum(each.unanswered for each in quiet) == 0
    cluster.finish()


def test_r30_a_client_at_ten_times_its_share_does_not_double_anothers_p99() -> None:
    def p99_of_the_light_one(heavy: int) -> tuple[float, Cluster]:
        cluster = make(25)
        light = Callers(cluster.gateways[0], 2, pause=PAUSE)
        Callers(cluster.gateways[1], heavy, pause=PAUSE)
        cluster.world.run_for(SECOND)
        begin = cluster.world.time
        cluster.world.run_for(3 * SECOND)
        return light.p99(begin, cluster.world.time), cluster

    fair, _cluster = p99_of_the_light_one(heavy=2)
    greedy, cluster = p99_of_the_light_one(heavy=20)
    assert greedy <= 2 * fair
    assert views(cluster) == {0}


def test_row_15_a_flooding_replica_does_not_reduce_throughput() -> None:
    """r3 sends twenty useless messages with each Status, over ten times its honest rate."""
    clean = clean_rate(4, 2, seed=26)
    cluster = make(26, liars={"r3": "flooder"})
    callers = [Callers(gateway, 2, pause=PAUSE) for gateway in cluster.gateways]
    cluster.world.run_for(3 * SECOND)
    assert last_second(cluster, callers) > 0.8 * clean
    assert views(cluster) == {0}
