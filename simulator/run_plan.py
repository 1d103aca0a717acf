"""The plan of a run, drawn from a seed: a random cluster, its links, faults, liars and traffic, drawn before
the world begins.

Named worlds (simulator.worlds) narrow a plan to one kind of fault.
"""

from __future__ import annotations

import msgspec

from dtvn.events.config import Algorithm
from dtvn.protocol import quorum
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.quorum import Mode
from simulator.adversary import LATER, SIMPLE
from simulator.clock import MILLISECOND, SECOND
from simulator.clock_steps import ClockStep, draw_clock_steps
from simulator.dice import Dice
from simulator.faults import FaultPlan, draw_fault_plan
from simulator.membership_changes import LEAST, MembershipChanges
from simulator.network import LinkQuality
from simulator.recoverable import is_recoverable
from simulator.workload import Traffic
from simulator.world import Settings

SIZES = (1, 2, 3, 4, 4, 4, 4, 5, 5, 6, 7, 7, 8, 10, 13)
SMALL_MEMBERS = 7
CROWDED = 8
LONGEST_BUSY = 3
"""Longest safety phase, in virtual seconds, of a world that is expensive to play."""
REAL_EVERY = 50
FIRST_MESSAGE_TIMEOUTS = 6
"""Number of view timeouts (T) as in real nodes (R31)."""


class MessageLoss(msgspec.Struct, frozen=True):
    """Messages that are lost for a while."""

    kind: str = ""
    """Name of the message type; "": all types."""
    sender: str | None = None
    receiver: str | None = None
    view: int | None = None
    """The view that matching messages name; None: any."""
    filled: str = ""
    """A field that is not empty in matching messages; "": any."""
    start: int = 0
    end: int = 1 << 62
    """World times of begin and end."""
    share: float = 1.0


class Partition(msgspec.Struct, frozen=True):
    """From `start` on only members of one group hear each other; a node that is in no group hears all."""

    start: int
    groups: tuple[tuple[str, ...], ...]


class OperatorAction(msgspec.Struct, frozen=True):
    """An operator's action on one node: `copy` its disk, `revert` it to that copy while it is off, `lose` the
    disk, `confirm` while it is off that the others are gone, `stop` or `start` the node."""

    at: int
    what: str
    node: str


class RunPlan(msgspec.Struct, frozen=True):
    """Everything that a seed decides before the world begins."""

    settings: Settings
    traffic: Traffic
    plan: FaultPlan
    adversaries: tuple[str, ...]
    """The kind of each liar; at most f liars."""
    duration: int
    """Virtual nanoseconds of the safety phase."""
    changes: MembershipChanges | None = None
    """Changes of the membership; None: there are none."""
    rogue: bool = False
    """True: one client lies too."""
    opening_flood: bool = False
    """True: a client floods all members with openings of sessions (simulator.adversary.opening_flooder); for
    worlds without another fault."""
    event_runs: bool = False
    """True: gateways also have runs of agent events judged and recorded, and clients race for locks
    (simulator.event_runs, simulator.lock_races)."""
    algorithms: tuple[Algorithm, ...] = ()
    """Those by which runs of agent events are judged, drawn for each run; (): all by the gateway's own."""
    lock_queues: bool = False
    """True: clients wait in the queues of locks (simulator.lock_queues)."""
    doors: bool = False
    """True: codes are issued, scanned and replaced, tickets blocked (simulator.door_work)."""
    lists: bool = False
    """True: guests enter lists and leave them, entries are annulled and forced (simulator.list_work)."""
    midnight: bool = False
    """True: beside these, guests come and go around a midnight (simulator.midnight_work)."""
    readers: bool = False
    """True: clients read behind barriers meanwhile (simulator.readers); there is a learner then."""
    liars: tuple[int, ...] = ()
    """Indexes of the liars; (): drawn."""
    dead: bool = True
    """True: as many members as are tolerated are dead in the liveness phase; False: all live."""
    votes_return: bool = False
    """True: members that lost their disks must have their votes again while nobody asks for anything."""
    message_losses: tuple[MessageLoss, ...] = ()
    partitions: tuple[Partition, ...] = ()
    operator_actions: tuple[OperatorAction, ...] = ()
    clock_steps: tuple[ClockStep, ...] = ()
    decided_within: int = 0
    """Nanoseconds within which each call of the gates must be decided, and not be refused for its date (R14);
    0: faults may last longer than callers wait."""
    log_min: int = 0
    """Length that the log must have when the faults end."""
    recovers_at: int = 0
    """World time at which n - q + 1 members lose their votes, and `genesis recover` brings the cluster back
    (simulator.recovery); 0: never."""
    recovers_from_prepared: bool = False
    """True: this happens at the first acknowledgement after that time whose entry only prepared certificates
    hold on the disks that the recovery reads."""
    old_speaker: int | None = None
    """Index of a member, or the next honest one, that speaks the messages of an earlier commit
    (simulator.old_speaker); None: all speak those of today."""
    epochs_min: int = 0
    """Number of membership changes by then."""
    forgetful: bool = False
    """True: one member more may lose its disk than the cluster tolerates beside its liars. Then safety must
    hold (R11), but liveness is not required."""


def draw_run(seed: int) -> RunPlan:
    """A random world. Every fiftieth signs with real Ed25519 (R39); it is smaller, as a signature costs
    twenty times as much."""
    if seed % REAL_EVERY == 0:
        drawn = smaller(_draw(seed))
        return msgspec.structs.replace(
            drawn,
            settings=msgspec.structs.replace(drawn.settings, real_signatures=True),
            duration=min(drawn.duration, 2 * SECOND),
        )
    return _with_more(seed, _draw(seed))


def _with_more(seed: int, drawn: RunPlan) -> RunPlan:
    """Adds what later versions of the simulator draw, from random streams of its own: worlds that get none of
    it stay as they were when their seeds were kept."""
    settings, changes = drawn.settings, None
    dice = Dice(seed).fork("epochs")
    if LEAST <= settings.members <= SMALL_MEMBERS and dice.hit(0.25):
        settings = msgspec.structs.replace(settings, spares=dice.between(1, 3))
        changes = MembershipChanges(pause_max=dice.pick((SECOND // 2, 2 * SECOND)), joins=dice.pick((1, 4)))
    changes, settings, plan = _few(seed, changes, settings, drawn.plan)
    dice = Dice(seed).fork("transfer")
    if dice.hit(0.4):
        settings = msgspec.structs.replace(settings, transfer_lag=dice.pick((4, 8, 15, 40)))
    dice = Dice(seed).fork("later liars")
    liars = tuple(dice.pick(tuple(LATER)) if dice.hit(0.25) else kind for kind in drawn.adversaries)
    if Dice(seed).fork("first hearing").hit(0.2):
        settings = msgspec.structs.replace(settings, first_message_timeouts=FIRST_MESSAGE_TIMEOUTS)
    if changes is not None and Dice(seed).fork("ways back").hit(0.5):
        settings = msgspec.structs.replace(settings, epoch_catch_up=True)
    forgetful = False
    if settings.members >= LEAST and changes is None and Dice(seed).fork("one disk more").hit(0.1):
        plan, forgetful = msgspec.structs.replace(plan, disk_lost=2), True
    doors = Dice(seed).fork("codes at doors").hit(0.15)
    lists = Dice(seed).fork("lists at doors").hit(0.1)
    readers = Dice(seed).fork("people who read among faults").hit(0.1)
    if readers:
        settings = msgspec.structs.replace(settings, learners=1)
    traffic, clock_steps = drawn.traffic, drawn.clock_steps
    dice = Dice(seed).fork("clocks that step")
    if dice.hit(0.1) and not readers and not doors:  # the work at doors is dated by its own clocks
        traffic = msgspec.structs.replace(traffic, undated=True)
        clock_steps = draw_clock_steps(dice, settings.members, drawn.duration, settings.mode)
        changes = changes and msgspec.structs.replace(changes, undated=True)
    drawn = msgspec.structs.replace(
        drawn,
        settings=settings,
        traffic=traffic,
        clock_steps=clock_steps,
        adversaries=liars,
        changes=changes,
        plan=plan,
        forgetful=forgetful,
        doors=doors,
        lists=lists,
        readers=readers,
    )
    return _with_rarest(seed, drawn)


def _with_rarest(seed: int, drawn: RunPlan) -> RunPlan:
    """Faults that only directed worlds had: power cuts that leave nothing unsynced, beside whatever else this
    world has; disks that lie; so many lost votes that nothing can be ordered; a member of the version
    before."""
    plan, settings = drawn.plan, drawn.settings
    if Dice(seed).fork("power cuts beside all else").hit(0.1):
        plan = msgspec.structs.replace(plan, power_cut=3)
        settings = msgspec.structs.replace(settings, transfer_lag=settings.transfer_lag or 4)
    dice, forgetful = Dice(seed).fork("disks that lie"), drawn.forgetful
    if dice.hit(0.1):
        flipped, misdirected = dice.pick(((2, 0), (0, 2), (1, 1)))
        plan = msgspec.structs.replace(plan, byte_flipped=flipped, write_misdirected=misdirected)
        forgetful |= settings.members >= LEAST and drawn.changes is None and dice.hit(0.5)
    dice, recovers_at = Dice(seed).fork("votes lost until a recovery"), 0
    quiet = drawn.changes is None and not forgetful
    if dice.hit(0.15) and quiet and is_recoverable(settings.members, len(drawn.adversaries), settings.mode):
        plan = msgspec.structs.replace(plan, disk_lost=0, byte_flipped=0, write_misdirected=0)
        recovers_at = drawn.duration // 4 + dice.below(drawn.duration // 2)
    dice = Dice(seed).fork("a member of the version before")
    old_speaker = dice.below(settings.members) if dice.hit(0.1) else None
    return msgspec.structs.replace(
        drawn,
        settings=settings,
        plan=plan,
        forgetful=forgetful,
        recovers_at=recovers_at,
        old_speaker=old_speaker,
    )


def _few(
    seed: int, changes: MembershipChanges | None, settings: Settings, plan: FaultPlan
) -> tuple[MembershipChanges | None, Settings, FaultPlan]:
    """Lets some clusters begin with fewer than four members and grow, and others shrink to fewer (R37)."""
    dice = Dice(seed).fork("memberships between one and four")
    if settings.members < LEAST and dice.hit(0.5):
        settings = msgspec.structs.replace(settings, spares=dice.between(2, 4))
        changes = MembershipChanges(pause_max=dice.pick((SECOND // 4, SECOND)), joins=dice.pick((2, 4)))
    elif changes is None or not dice.hit(0.3):
        return changes, settings, plan
    else:
        changes = msgspec.structs.replace(changes, pause_max=SECOND // 4, leaves=4)
    changes = msgspec.structs.replace(changes, least=dice.pick((1, 1, 2, 3)), small=0.8)
    return changes, settings, timely(plan, changes.least)


def _draw(seed: int) -> RunPlan:
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
        pause_max=dice.pick((20 * MILLISECOND, 100 * MILLISECOND, 400 * MILLISECOND)) * _calm(members),
    )
    liars = dice.below(quorum.faults(members, Mode.PBFT) + 1) if not bare else 0
    return RunPlan(
        settings=settings,
        traffic=traffic,
        plan=FaultPlan(heal=1) if bare else _plan(dice, members),
        adversaries=tuple(dice.pick((*SIMPLE, "twin")) for _ in range(liars)),
        duration=min(dice.between(2, 9), LONGEST_BUSY if _is_busy(members, traffic) else 9) * SECOND,
        rogue=not bare and dice.hit(0.3),
    )


def _is_busy(members: int, traffic: Traffic) -> bool:
    """Whether a virtual second costs more than it is likely to reveal."""
    return members >= CROWDED or (members >= 4 and traffic.pause_max <= 20 * MILLISECOND)


def _calm(members: int) -> int:
    """Factor by which calls to a cluster of this size are rarer: an answer takes n x n messages."""
    return 1 if members < CROWDED else members // 2 - 1


def _plan(dice: Dice, members: int) -> FaultPlan:
    """Random faults for a cluster of this size."""
    return timely(draw_fault_plan(dice), members)


def timely(plan: FaultPlan, least: int) -> FaultPlan:
    """A single member has no other clock to compare its own with: once it jumped ahead, batch time stays
    ahead too and every request has expired; n = 1 does not promise otherwise. `least`: the smallest possible
    membership."""
    return plan if least > 1 else msgspec.structs.replace(plan, wall_jump=0)


def smaller(drawn: RunPlan) -> RunPlan:
    """The same kinds of faults in a world that takes less time to play; it is a different world."""
    members = min(drawn.settings.members, SMALL_MEMBERS)
    pause = max(drawn.traffic.pause_max, 150 * MILLISECOND)
    liars = drawn.adversaries[: quorum.faults(members, drawn.settings.mode)]
    return msgspec.structs.replace(
        drawn,
        settings=msgspec.structs.replace(drawn.settings, members=members),
        traffic=msgspec.structs.replace(drawn.traffic, pause_max=pause),
        plan=msgspec.structs.replace(
            drawn.plan,
            pause_max=min(drawn.plan.pause_max, SECOND),
            away_max=min(drawn.plan.away_max, SECOND),
        ),
        clock_steps=tuple(step for step in drawn.clock_steps if int(step.name[1:]) < members),
        adversaries=liars,
        duration=min(drawn.duration, 4 * SECOND),
        recovers_at=min(drawn.recovers_at, 3 * SECOND)
        if is_recoverable(members, len(liars), drawn.settings.mode)
        else 0,
    )
