"""One seed: a random cluster in random trouble, then healed: is it safe, and does it come back?

Everything follows from the seed and this code: cluster size, links, faults, adversaries, traffic. The
safety phase runs with whatever happens; then the world heals, as many members as the cluster must
tolerate stay dead (or lie on), and new requests must be decided within a bound (liveness phase).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from simulator.adversary import ADVERSARIES, corrupt
from simulator.chance import Dice
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.faults import Plan, Trouble, draw_plan
from simulator.network import LinkQuality
from simulator.report import Fingerprint
from simulator.violation import Violation
from simulator.workload import UNDECIDED, Crowd, Traffic
from simulator.world import Settings
from validators import quorum
from validators.genesis import Parameters

__all__ = ["Draw", "Report", "draw", "run", "run_many"]

LIVENESS_BOUND = 60 * SECOND
"""Virtual time within which a healed cluster must have decided and everybody caught up."""

RECONNECTED_AFTER = 100 * MILLISECOND
"""Gateways have their connections again; before that they answer `unavailable` at once."""

SIZES = (1, 2, 3, 4, 4, 4, 4, 5, 5, 6, 7, 7, 8, 10, 13)


class Draw(msgspec.Struct, frozen=True):
    """What a seed stands for."""

    settings: Settings
    traffic: Traffic
    plan: Plan
    adversaries: tuple[str, ...]
    """One kind for each liar, at most f."""
    duration: int
    """Virtual nanoseconds of the safety phase."""
    rogue: bool = False
    """True: a client lies too."""
    bare: bool = False
    """True: no faults at all; the network is as good as it gets."""


class Report(msgspec.Struct):
    """What came of a seed."""

    seed: int
    members: int
    adversaries: tuple[str, ...]
    short: bool = False
    events: int = 0
    virtual_time: int = 0
    executed: int = 0
    outcomes: int = 0
    """Operations whose outcome a client was told."""
    views: int = 0
    """Highest view in which anything committed on an honest node."""
    fingerprint: str = ""
    violation: str | None = None
    """The sentence of the first broken promise."""

    @property
    def command(self) -> str:
        """What replays it."""
        return f"manage.py simulator run --seed {self.seed}" + (" --short" if self.short else "")


def draw(seed: int, *, short: bool = False) -> Draw:
    """Everything that a seed decides before the world begins. `short`: a smaller world, for a smoke
    test; it is another world than the one that the seed alone means."""
    drawn = _draw(seed)
    if not short:
        return drawn
    return msgspec.structs.replace(
        drawn,
        settings=msgspec.structs.replace(drawn.settings, members=min(drawn.settings.members, 7)),
        traffic=msgspec.structs.replace(
            drawn.traffic, pause_max=max(drawn.traffic.pause_max, 150 * MILLISECOND)
        ),
        plan=msgspec.structs.replace(
            drawn.plan,
            pause_max=min(drawn.plan.pause_max, SECOND),
            away_max=min(drawn.plan.away_max, SECOND),
        ),
        adversaries=drawn.adversaries[: quorum.faults(min(drawn.settings.members, 7))],
        duration=min(drawn.duration, 4 * SECOND),
    )


def _draw(seed: int) -> Draw:
    dice = Dice(seed).fork("draw")
    members = dice.pick(SIZES)
    bare = dice.hit(0.05)
    quality = LinkQuality(
        latency_min=dice.pick((50_000, 200_000, MILLISECOND)),
        latency_max=dice.pick((MILLISECOND, 3 * MILLISECOND, 20 * MILLISECOND)),
        slow_share=0.0 if bare else dice.pick((0.0, 0.0, 0.01, 0.05)),
        slow_max=dice.pick((50 * MILLISECOND, 500 * MILLISECOND, 4 * SECOND)),
        loss=0.0 if bare else dice.pick((0.0, 0.0, 0.01, 0.05, 0.2)),
        duplication=0.0 if bare else dice.pick((0.0, 0.0, 0.02, 0.2)),
        reorder=0.0 if bare else dice.pick((0.0, 0.0, 0.05, 0.5)),
    )
    settings = Settings(
        members=members,
        learners=dice.pick((0, 1, 1)),
        gateways=dice.pick((1, 2, 3)),
        real_signatures=seed % 50 == 0,
        quality=quality,
        parameters=Parameters(
            checkpoint_interval=dice.pick((2, 5, 10, 10)),
            view_timeout=dice.pick((100_000, 300_000, 800_000)),
            sessions_max=dice.pick((4, 64)),
            batch_operations_max=dice.pick((8, 1_000)),
        ),
    )
    traffic = Traffic(
        tickets=dice.pick((3, 30)),
        pause_max=dice.pick((20 * MILLISECOND, 100 * MILLISECOND, 400 * MILLISECOND)),
    )
    liars = dice.below(quorum.faults(members) + 1) if not bare else 0
    return Draw(
        settings=settings,
        traffic=traffic,
        plan=Plan(heal=1) if bare else _plan(dice, members),
        adversaries=tuple(dice.pick(ADVERSARIES) for _ in range(liars)),
        duration=dice.between(2, 12) * SECOND,
        rogue=not bare and dice.hit(0.3),
        bare=bare,
    )


def _plan(dice: Dice, members: int) -> Plan:
    """Faults for a cluster of this size. A single member has nobody to check its clock: once it jumped
    ahead, batch time stays ahead too and every request has expired; that is no promise of n = 1."""
    plan = draw_plan(dice)
    return plan if members > 1 else msgspec.structs.replace(plan, wall_jump=0)


def run(seed: int, *, short: bool = False, drawn: Draw | None = None) -> Report:
    """Play one seed; a broken promise is in the report, not raised."""
    drawn = drawn or draw(seed, short=short)
    report = Report(seed, drawn.settings.members, drawn.adversaries, short=short)
    cluster = Cluster(seed, drawn.settings)
    fingerprint = Fingerprint(lambda: cluster.world.time)
    cluster.world.audience.add(fingerprint)
    try:
        _play(cluster, drawn)
    except Violation as violation:
        report.violation = str(violation)
    world = cluster.world
    report.events, report.virtual_time = world.events, world.time
    report.fingerprint = fingerprint.hex()
    report.executed, report.views = cluster.history.highest, cluster.history.view
    report.outcomes = cluster.durability.outcomes
    return report


def run_many(seeds: Iterable[int]) -> Iterator[Report]:
    """Play seeds one after the other."""
    for seed in seeds:
        yield run(seed)


def _play(cluster: Cluster, drawn: Draw) -> None:
    world = cluster.world
    dice = world.dice.fork("campaign")
    liars = dice.sample(world.member_names, len(drawn.adversaries))
    for name, kind in zip(liars, drawn.adversaries, strict=True):
        corrupt(cluster, name, kind)
    cluster.start()
    crowd = Crowd(world, cluster.gateways, dice.fork("crowd"), drawn.traffic)
    spare = max(0, min(quorum.crashes_tolerated(world.members), quorum.faults(world.members)) - len(liars))
    trouble = Trouble(world, cluster.gateways, dice.fork("trouble"), drawn.plan, spare=spare)
    rogue = cluster.add_rogue() if drawn.rogue else None
    world.after(100 * MILLISECOND, crowd.start)
    world.after(500 * MILLISECOND, trouble.start)
    if rogue is not None:
        world.after(200 * MILLISECOND, rogue.start)
    world.run(drawn.duration)
    trouble.stop()
    crowd.stop()
    if rogue is not None:
        rogue.stop()
    _heal(cluster, dice, len(liars) + trouble.lost)
    _liveness(cluster, crowd)
    cluster.finish()


def _heal(cluster: Cluster, dice: Dice, voteless: int) -> None:
    """Everything works again, but as many members as the cluster must do without stay dead; liars and
    members without a vote count among these."""
    world = cluster.world
    world.network.heal()
    for node in world.nodes.values():
        node.disk.full = False
        node.disarm()
        node.clock.skew = 0
        node.resume()
    spare = quorum.crashes_tolerated(world.members) - voteless
    voters = [node for node in world.honest_members() if node.disk.voting]
    dead = dice.sample(voters, dice.below(max(0, spare) + 1))
    for node in dead:
        if node.up:
            node.crash()
    for node in world.nodes.values():
        if node not in dead:
            world.start(node)


def _liveness(cluster: Cluster, crowd: Crowd) -> None:
    world = cluster.world
    world.run_for(RECONNECTED_AFTER)
    requests = crowd.probe()
    world.run_for(LIVENESS_BOUND, done=lambda: all(request.over for request in requests))
    for request in requests:
        codes = [result.code for result in request.results or ()]
        if not request.over or UNDECIDED & set(codes):
            raise Violation("liveness", f"a request of the healed cluster is not decided: {codes or 'open'}")
    if not world.run_for(LIVENESS_BOUND, done=cluster.settled):
        raise Violation("liveness", f"not all caught up: {cluster.ends()}")
