"""Named worlds: from a seed to a run plan. `random` draws from everything (simulator.swarm); each other world
looks for one kind of fault.

A planted bug (simulator.mutants) names the world in which its seed finds it; without the bug the same world
and seed break no promise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.protocol.genesis import Parameters
from dtvn.protocol.versions import FIRST
from simulator import clock_worlds as clocks
from simulator import planned_stop_worlds, twins
from simulator import raft_worlds as raft
from simulator.archive_worlds import AWAY, NEWCOMERS, WIPED
from simulator.clock import MILLISECOND, SECOND
from simulator.door_worlds import DOORS
from simulator.event_worlds import (
    ANY_ALGORITHM,
    BY_VOTES,
    EVENT_FAULTS,
    EVENT_RUNS,
    LOST_VERDICTS,
    RUNS_OVER_EPOCHS,
)
from simulator.faults import FaultPlan
from simulator.follower_worlds import FOLLOWERS, OLD_HEADS, ONE_HEAD
from simulator.late_commit_worlds import COMMITS_OF_OTHER_VIEWS, TWO_BATCHES_IN_TURN
from simulator.list_worlds import LISTS, OVER_MIDNIGHT, TOO_LATE
from simulator.lock_queue_worlds import LATE_STATES, LOCK_FAULTS, LOCK_QUEUES
from simulator.membership_changes import MembershipChanges
from simulator.names import IN_RAFT_TOO
from simulator.network import LinkQuality
from simulator.run_plan import (
    FIRST_MESSAGE_TIMEOUTS,
    MessageLoss,
    OperatorAction,
    Partition,
    RunPlan,
)
from simulator.stale_disk_worlds import OLDER_AND_LOST_DISK, OLDER_DISK, UNUSED_DISK
from simulator.swarm import draw_raft_run, draw_run, draw_small_run
from simulator.workload import Traffic
from simulator.world import Settings

Drawing = Callable[[int], RunPlan]

QUIET = FaultPlan(heal=1)
CLEAN = LinkQuality(latency_min=200_000, latency_max=MILLISECOND)
TRAFFIC = Traffic(tickets=10, pause_max=80 * MILLISECOND)
BUSY = Traffic(tickets=30, pause_max=8 * MILLISECOND)
BRISK = Traffic(tickets=10, pause_max=25 * MILLISECOND)
PARAMETERS = Parameters(checkpoint_interval=5, view_timeout=500_000)
RARE_CHECKPOINTS = Parameters(checkpoint_interval=200, view_timeout=500_000)
"""No checkpoint within a world's duration: everything above the last one is kept long."""
SMALL_BATCHES = Parameters(checkpoint_interval=5, view_timeout=500_000, batch_operations_max=4)
CRASHES = FaultPlan(
    pause_max=300 * MILLISECOND, away_max=500 * MILLISECOND, crash=2, crash_in_turn=3, crash_all=1, heal=0
)


def world_of(name: str, seed: int) -> RunPlan:
    """The run plan of a seed in a named world; raise KeyError for an unknown name."""
    return WORLDS[name](seed)


def of(
    *liars: str,
    at: tuple[int, ...] = (),
    plan: FaultPlan = QUIET,
    members: int = 4,
    parameters: Parameters = PARAMETERS,
    quality: LinkQuality = CLEAN,
    traffic: Traffic = TRAFFIC,
    duration: int = 5 * SECOND,
    **more: Any,
) -> Drawing:
    """A world of (usually) four members with exactly these faults; the seed decides the rest. `more`: other
    fields of Settings and RunPlan."""

    settings = {name: value for name, value in more.items() if name in Settings.__struct_fields__}
    rest = {name: value for name, value in more.items() if name not in settings}

    def drawn(_seed: int) -> RunPlan:
        return RunPlan(
            settings=msgspec.structs.replace(
                Settings(members=members, quality=quality, parameters=parameters), **settings
            ),
            traffic=traffic,
            plan=plan,
            adversaries=liars,
            duration=duration,
            liars=at or tuple(range(len(liars))),
            **{"dead": False, **rest},
        )

    return drawn


LOST_COMMITS = tuple(
    MessageLoss("Commit", receiver=f"r{index}", start=SECOND // 2, end=3 * SECOND, share=0.4)
    for index in range(4)
)
LEADERLESS = FaultPlan(pause_max=500 * MILLISECOND, away_max=800 * MILLISECOND, crash=1, part=1, heal=2)
NO_CHECKPOINTS = (MessageLoss("Checkpoint", start=SECOND // 4, end=3 * SECOND),)

MEMBERS = ("r0", "r1", "r2", "r3")
LONE_COMMIT = tuple(
    MessageLoss(kind, receiver=name, start=SECOND, end=SECOND + 900 * MILLISECOND)
    for name in MEMBERS[1:]
    for kind in ("Commit", "SupplyFrames", "Entries")
)
R0_GONE = (Partition(SECOND + 80 * MILLISECOND, (("r0",), ("r1", "r2", "r3"))),)
"""For a moment only the primary receives COMMITs: it alone executes batches for which the others are
prepared. Then it is cut off, so that everything depends on what the view change carries over."""


TWO_CERTIFICATES = (
    *(
        MessageLoss(kind, receiver=name, start=SECOND, end=SECOND + 700 * MILLISECOND)
        for name in MEMBERS[:3]
        for kind in ("Prepare", "SupplyFrames")
    ),
    *(
        MessageLoss(kind, receiver=name, start=SECOND + 600 * MILLISECOND, end=SECOND + 900 * MILLISECOND)
        for name in MEMBERS[1:3]
        for kind in ("Commit", "SupplyFrames", "Entries")
    ),
    *(
        MessageLoss(kind, sender="r1", start=SECOND + 850 * MILLISECOND, end=4 * SECOND)
        for kind in ("PrePrepare", "Prepare", "Commit", "Status", "SupplyFrames", "NewView", "Entries")
    ),
)
"""In view 0 only r3 is prepared; in view 1 r1 and r2 are, for another batch, which r0 alone executes; then r0
is cut off and r1 is deposed: the later certificate must win."""


STRAGGLING = (
    *(
        MessageLoss(kind, receiver="r3", start=SECOND, end=6 * SECOND)
        for kind in ("Suspect", "ViewChange", "NewView", "SupplyFrames")
    ),
    *(
        MessageLoss(kind, receiver=name, start=SECOND, end=SECOND + 700 * MILLISECOND)
        for name in MEMBERS
        for kind in ("Prepare", "SupplyFrames")
    ),
)
"""In view 0 no member is prepared; in view 1 the others decide, of which r3 receives only the log. Then r2's
old vote arrives, and r3 is prepared for a batch whose sequence is already taken."""


FORGOTTEN: dict[str, Any] = {
    "plan": FaultPlan(pause_max=4 * SECOND, away_max=300 * MILLISECOND, disk_lost=1, heal=0),
    "traffic": BRISK,
    "partitions": (
        *(Partition(start, (("r0",), ("r1", "r2", "r3"))) for start in (SECOND, 9 * SECOND)),
        *(Partition(start, ()) for start in (2 * SECOND, 11 * SECOND)),
    ),
    "message_losses": (
        *(MessageLoss("Suspect", receiver=name, start=SECOND, end=5 * SECOND) for name in ("r0", "r1", "r3")),
        *(
            MessageLoss(kind, sender="r2", start=SECOND, end=5 * SECOND)
            for kind in ("ViewChange", "SupplyFrames")
        ),
    ),
    "duration": 14 * SECOND,
}
"""r2 alone leaves view 0, with good reason, and no honest member receives that (at most a liar does). Then it
may lose its disk, and come back while the others are still in view 0."""


FORKED: dict[str, Any] = {
    "at": (0, 1),
    "beyond": True,
    "learners": 0,
    "partitions": (
        Partition(0, (("r0", "r1", "r2", "client-0"), ("r0~twin", "r1~twin", "r3", "client-1"))),
        Partition(SECOND, ()),
    ),
    "operator_actions": tuple(
        OperatorAction(at * MILLISECOND, what, name)
        for name in ("r2", "r3")
        for at, what in ((1_300, "stop"), (1_350, "start"), (1_600, "start"))
    ),
    "duration": 2 * SECOND,
}
"""Two members of four run twice, and each half decides alone. Then r2 and r3 meet: the state that one of them
holds as certified is excluded by the other one's certificate."""


BRIEF_VIEWS: dict[str, Any] = {
    "parameters": Parameters(checkpoint_interval=5, view_timeout=100_000),
    "traffic": BRISK,
    "duration": 3 * SECOND,
}


def lone_commit(*liars: str, at: tuple[int, ...] = (), more: tuple[MessageLoss, ...] = ()) -> Drawing:
    """See R0_GONE; the liars take part in the view change, which cannot do without them."""
    return of(
        *liars,
        at=at,
        message_losses=LONE_COMMIT + more,
        partitions=R0_GONE,
        traffic=BRISK,
        duration=4 * SECOND,
    )


FROM_PREPARED: dict[str, Any] = {
    "traffic": Traffic(tickets=10, pause_max=400 * MILLISECOND),
    "recovers_at": SECOND,
    "recovers_from_prepared": True,
}
"""Calls are so rare that an answered one is often the newest that any member knows: power fails before a
later turn has synced its entry, two members lose their disks, and the others bring it back (R6, R11)."""


WALK: dict[str, Any] = {
    "changes": MembershipChanges(pause_max=800 * MILLISECOND),
    "spares": 3,
}
"""Members join and leave (R35)."""
TRANSFERS: dict[str, Any] = {
    "plan": FaultPlan(pause_max=800 * MILLISECOND, away_max=2_500 * MILLISECOND, crash=1, heal=0),
    "traffic": BRISK,
    "transfer_lag": 4,
    "message_losses": (MessageLoss("Entries", start=SECOND, end=5 * SECOND, share=0.9),),
    "duration": 6 * SECOND,
}
"""A member that was away fetches the state, since most pages of the log are lost."""


POWER_CUT_IN_TRANSFERS: dict[str, Any] = {
    **TRANSFERS,
    "plan": FaultPlan(
        pause_max=800 * MILLISECOND, away_max=2_500 * MILLISECOND, crash=2, power_cut=2, heal=0
    ),
    "quality": msgspec.structs.replace(CLEAN, latency_max=50 * MILLISECOND),
    "message_losses": (MessageLoss("Entries", start=SECOND, end=11 * SECOND, share=0.9),),
    "duration": 12 * SECOND,
}
"""Power fails at all nodes, also while a member fetches the state, of which a liar serves false parts."""


EPOCH_CATCH_UP: dict[str, Any] = {
    "changes": MembershipChanges(pause_max=300 * MILLISECOND),
    "spares": 3,
    "plan": FaultPlan(pause_max=SECOND, away_max=3 * SECOND, crash=2, heal=0),
    "message_losses": TRANSFERS["message_losses"],
    "transfer_lag": 4,
    "epoch_catch_up": True,
    "first_message_timeouts": FIRST_MESSAGE_TIMEOUTS,
    "duration": 8 * SECOND,
}
"""Members sleep through changes, and most pages of the log are lost."""
STRANDED: dict[str, Any] = {
    **EPOCH_CATCH_UP,
    "members": 5,
    "changes": MembershipChanges(pause_max=500 * MILLISECOND, joins=2, leaves=1, replaces=6, rotates=0),
    "plan": QUIET,
    "partitions": (
        Partition(SECOND, (("r4",), ("r0", "r1", "r2", "r3", "n0", "n1", "n2"))),
        Partition(2 * SECOND, ()),
    ),
    "message_losses": tuple(
        MessageLoss(kind, receiver="r4", start=SECOND, end=7 * SECOND) for kind in ("Entries", "Snapshot")
    ),
}
"""r4 sleeps, skips epochs, and gets no state: it may be no member any more when a snapshot arrives."""


WORLDS: dict[str, Drawing] = {
    "random": draw_run,
    "small": draw_small_run,
    "raft": draw_raft_run,
    "raft-figure-8": of(**raft.FIGURE_8),
    "raft-void-records": of(**raft.VOID_RECORDS),
    "raft-void-and-pruned": of(**raft.VOID_AND_PRUNED),
    "raft-unheard-leader": of(**raft.UNHEARD_LEADER),
    "raft-leader-restarts": of(**raft.LEADER_RESTARTS),
    "raft-short-log": of(**raft.SHORT_LOG),
    "raft-one-of-three": of(**raft.ONE_OF_THREE),
    "raft-late-duplicates": of(**raft.LATE_DUPLICATES),
    "raft-minority-leader": of(**raft.MINORITY_LEADER),
    "raft-brief-cut": of(**raft.BRIEF_CUT),
    "raft-no-room": of(**raft.NO_ROOM),
    "raft-three-two": of(**raft.THREE_TWO),
    "raft-hub": of(**raft.HUB),
    "raft-lost-disks": of(**raft.LOST_DISKS),
    "raft-changes": of(**raft.CHANGES),
    "raft-leaders-clock": of(**raft.LEADERS_CLOCK),
    "raft-first-clock": of(**raft.FIRST_CLOCK),
    "raft-clocks-apart": of(**raft.CLOCKS_APART),
    "raft-comes-back": of(**raft.COMES_BACK),
    "raft-head-from-the-future": of(**raft.HEAD_FROM_THE_FUTURE),
    "raft-planned-stop": of(**planned_stop_worlds.OF_RAFT),
    "planned-stop": of(**planned_stop_worlds.OF_PBFT),
    "raft-reads": of(**raft.READS),
    "raft-one-gone": of(**raft.ONE_GONE),
    "raft-put-back": of(**raft.PUT_BACK),
    "raft-unheard-answer": of(**raft.UNHEARD_ANSWER),
    "raft-copy-beside": of(**raft.COPY_BESIDE),
    "twins": twins.draw_run,
    "calm": of(),
    "clocks-ahead-and-back": of(**clocks.THERE_AND_BACK),
    "clocks-back": of(**clocks.ALL_BACK),
    "clocks-of-gateways": of(**clocks.OF_GATEWAYS),
    "clock-of-one": of(**clocks.OF_ONE),
    "clocks-ahead-in-halves": of(**clocks.AHEAD_IN_HALVES),
    "clocks-behind-in-halves": of(**clocks.BEHIND_IN_HALVES),
    "clocks-stepped-apart": of(**clocks.STEPPED_APART),
    "idle-night": of(**clocks.IDLE_NIGHT),
    "time-holder": of("time-holder", **clocks.HELD_BACK),
    "clocks-among-crashes": of(**clocks.AMONG_CRASHES),
    "clocks-among-changes": of(**clocks.AMONG_CHANGES),
    "clock-and-long-turns": of(**clocks.LONG_TURNS),
    "false-refuser": of("false-refuser", **clocks.LYING_REFUSALS),
    "late-new-view": of(**clocks.LATE_NEW_VIEW),
    "lossy": of(quality=msgspec.structs.replace(CLEAN, loss=0.25), duration=6 * SECOND),
    "crashes": of(plan=CRASHES, duration=6 * SECOND, dead=True),
    "power-cut": of(
        plan=FaultPlan(pause_max=400 * MILLISECOND, away_max=400 * MILLISECOND, power_cut=3, crash=1, heal=0),
        parameters=Parameters(checkpoint_interval=5, view_timeout=100_000),
        traffic=BRISK,
    ),
    "all-crash": of(
        plan=FaultPlan(pause_max=400 * MILLISECOND, away_max=300 * MILLISECOND, crash_all=1, heal=0),
        message_losses=LOST_COMMITS,
        traffic=BUSY,
    ),
    "full-disks": of(
        plan=FaultPlan(pause_max=300 * MILLISECOND, away_max=500 * MILLISECOND, disk_full=1, heal=0)
    ),
    "lost-disks": of(
        plan=FaultPlan(pause_max=400 * MILLISECOND, away_max=400 * MILLISECOND, disk_lost=2, crash=1, heal=0)
    ),
    "lost-disks-at-rest": of(
        plan=FaultPlan(pause_max=400 * MILLISECOND, away_max=400 * MILLISECOND, disk_lost=2, heal=0),
        duration=2 * SECOND,
        votes_return=True,
    ),
    "suspended-nodes": of(
        plan=FaultPlan(pause_max=400 * MILLISECOND, away_max=2 * SECOND, suspend=1, heal=0),
        duration=8 * SECOND,
    ),
    "leaderless": of(plan=LEADERLESS, message_losses=LOST_COMMITS, traffic=BUSY, duration=5 * SECOND),
    "sequence-gaps": of(
        plan=LEADERLESS,
        parameters=SMALL_BATCHES,
        traffic=BUSY,
        gateways=3,
        message_losses=tuple(
            MessageLoss("PrePrepare", sender=f"r{index}", start=SECOND // 2, end=3 * SECOND, share=0.5)
            for index in range(4)
        ),
    ),
    "long-run": of(
        plan=FaultPlan(pause_max=700 * MILLISECOND, away_max=700 * MILLISECOND, crash=1, heal=0),
        duration=40 * SECOND,
        traffic=Traffic(tickets=10, pause_max=400 * MILLISECOND),
        dead=True,
    ),
    "lost-checkpoints": of(message_losses=NO_CHECKPOINTS, traffic=BUSY),
    "tiny-batches": of(parameters=SMALL_BATCHES, traffic=BUSY, gateways=3),
    "retries": of(traffic=Traffic(tickets=10, pause_max=40 * MILLISECOND, repeats=0.5)),
    "expiring-requests": of(
        plan=FaultPlan(pause_max=500 * MILLISECOND, away_max=800 * MILLISECOND, crash=1, part=2),
        traffic=Traffic(tickets=10, pause_max=40 * MILLISECOND, valid_min=20 * MILLISECOND, valid_max=SECOND),
    ),
    "many-sessions": of(
        plan=FaultPlan(
            pause_max=200 * MILLISECOND, away_max=300 * MILLISECOND, client_restart=3, crash=1, heal=0
        ),
        parameters=Parameters(checkpoint_interval=5, view_timeout=500_000, sessions_max=4),
        gateways=3,
        rogue=True,
    ),
    "unauthorized-client": of(gateways=3, guests=1),
    "lying-client": of(rogue=True),
    "opening-flood": of(
        opening_flood=True,
        message_losses=tuple(MessageLoss("Bundle", sender=f"r{index}", receiver="r0") for index in (1, 2, 3)),
    ),
    "false-suspicions": of("forger", at=(3,)),
    "votes-before-proposals": of(
        "forger",
        at=(1,),
        traffic=Traffic(tickets=20, pause_max=4 * SECOND, undated=True),
        decided_within=300 * MILLISECOND,
        duration=20 * SECOND,
    ),
    "equivocator-of-five": of("equivocator", members=5),
    "idle-primary": of("idle-primary"),
    "unheard-view-change": of(**FORGOTTEN),
    "view-change-heard-by-liar": of("view-change-forger/omit", at=(1,), forgetful=True, **FORGOTTEN),
    "many-learners": of(members=1, learners=6, one_platform=True, traffic=BRISK, duration=3 * SECOND),
    **{name: of(**world) for name, world in FOLLOWERS.items()},
    "old-head-signer": of("old-head-signer", at=(0,), **ONE_HEAD),
    "old-heads-of-two": of("old-head-signer", at=(0,), **OLD_HEADS),
    "forked": of("twin/parted", "twin/parted", **FORKED),
    "older-disk": of(**OLDER_DISK, traffic=BRISK),
    "older-and-lost-disk": of(**OLDER_AND_LOST_DISK, traffic=BRISK),
    "version-before": of(**OLDER_AND_LOST_DISK, traffic=BRISK, old_speaker=2),
    "unused-disk": of(**UNUSED_DISK, traffic=BRISK),
    "recorded-runs": of(**TRANSFERS, event_runs=True),
    "equivocating-voter": of("equivocating-voter", at=(3,), **EVENT_RUNS),
    "false-voter": of("false-voter", at=(3,), **EVENT_RUNS, message_losses=LOST_VERDICTS),
    "any-algorithm": of("false-voter", at=(3,), **ANY_ALGORITHM),
    "votes-taken-back": of("equivocating-voter", at=(3,), **EVENT_RUNS, algorithms=BY_VOTES),
    "late-voter": of("late-voter", at=(3,), plan=EVENT_FAULTS, **EVENT_RUNS),
    "unlike-rules": of("false-voter", at=(3,), unlike_rules=1, **EVENT_RUNS),
    "runs-over-epochs": of(**RUNS_OVER_EPOCHS),
    "lock-queues": of(plan=LOCK_FAULTS, **LOCK_QUEUES),
    "early-ticks": of(**LOCK_QUEUES, message_losses=LATE_STATES),
    "empty-batcher": of(
        "empty-batcher",
        traffic=Traffic(tickets=10, pause_max=200 * MILLISECOND),
        parameters=Parameters(checkpoint_interval=5, view_timeout=800_000),
        duration=20 * SECOND,
    ),
    "tickless-primary": of("tickless-primary", **LOCK_QUEUES),
    "doors": of(**DOORS),
    "doors-among-crashes": of(**DOORS, plan=CRASHES, dead=True),
    "doors-among-transfers": of(**{**TRANSFERS, **DOORS}),
    "poisoned-terms": of("bad-state-server/other terms", at=(1,), **{**TRANSFERS, **DOORS}),
    "lists": of(**LISTS),
    "lists-among-crashes": of(**LISTS, plan=CRASHES, dead=True),
    "lists-among-transfers": of(**{**TRANSFERS, **LISTS}),
    "lists-and-clocks": of(**TOO_LATE),
    "lists-over-midnight": of(**OVER_MIDNIGHT),
    "node-reads": of(node_reads=True),
    "barrier-reads": of(
        readers=True,
        message_losses=(
            MessageLoss("Reply", receiver="client-0", end=SECOND, share=0.5),
            MessageLoss("Entries", receiver="learner-0", end=SECOND, share=0.8),
        ),
        plan=FaultPlan(
            pause_max=500 * MILLISECOND, away_max=800 * MILLISECOND, crash=1, client_restart=1, heal=2
        ),
        traffic=Traffic(tickets=100, pause_max=15 * MILLISECOND),
        duration=SECOND,
    ),
    "recovery-from-prepared": of(**FROM_PREPARED),
    "two-processes": of(
        plan=FaultPlan(pause_max=400 * MILLISECOND, away_max=400 * MILLISECOND, take_over=2, crash=1, heal=0),
        duration=4 * SECOND,
    ),
    "malleable-signatures": of(plan=CRASHES, duration=6 * SECOND, dead=True, malleable=True),
    "malleable-signer": of(
        "malleable-signer", plan=LEADERLESS, message_losses=LOST_COMMITS, traffic=BUSY, malleable=True
    ),
    "one-way-links": of(plan=FaultPlan(pause_max=300 * MILLISECOND, one_way=2, heal=1), duration=6 * SECOND),
    "view-change-forger": of(
        "view-change-forger",
        at=(1,),
        plan=FaultPlan(pause_max=600 * MILLISECOND, away_max=900 * MILLISECOND, crash=2, part=1, heal=2),
        message_losses=LOST_COMMITS,
        duration=7 * SECOND,
    ),
    "slow-primary": of(
        "slow-primary",
        traffic=Traffic(tickets=10, pause_max=200 * MILLISECOND),
        parameters=Parameters(checkpoint_interval=5, view_timeout=800_000),
        duration=60 * SECOND,
    ),
    "epochs": of(**WALK),
    "busy-epochs": of(**WALK, traffic=BUSY, gateways=3, parameters=SMALL_BATCHES, duration=3 * SECOND),
    "future-epoch-voter": of("future-epoch-voter", **WALK),
    "removed-member": of("removed-member", at=(3,), members=5, **WALK),
    "unready-members": of(
        changes=MembershipChanges(pause_max=400 * MILLISECOND, unready=0.9), spares=3, duration=6 * SECOND
    ),
    "raised-version": of(
        changes=MembershipChanges(pause_max=400 * MILLISECOND, raises=6, unready=0.5),
        spares=3,
        version=FIRST,
        duration=6 * SECOND,
    ),
    "shrinking": of(
        changes=MembershipChanges(pause_max=400 * MILLISECOND, joins=1, leaves=4, unready=0.0, least=3),
        spares=3,
    ),
    "few-members": of(
        members=1,
        changes=MembershipChanges(
            pause_max=250 * MILLISECOND, joins=4, leaves=4, rotates=1, least=1, small=0.8
        ),
        spares=5,
        plan=FaultPlan(
            pause_max=400 * MILLISECOND, away_max=300 * MILLISECOND, crash=2, suspend=1, part=1, heal=2
        ),
        duration=6 * SECOND,
    ),
    "epoch-catch-up": of(**EPOCH_CATCH_UP),
    "false-epoch-catch-up": of("future-epoch-voter", **EPOCH_CATCH_UP),
    "stranded-member": of(**STRANDED),
    "state-transfers": of(**TRANSFERS),
    "power-cut-in-transfers": of("bad-state-server", at=(1,), **POWER_CUT_IN_TRANSFERS),
    "archives-among-crashes": of("bad-archive-server", at=(1,), **AWAY),
    "bad-archive-server": of("bad-archive-server", at=(0,), **WIPED),
    "poisoned-archives": of("bad-archive-server/another time", at=(0,), **WIPED),
    "misshapen-archives": of("bad-archive-server/no signature", at=(0,), **WIPED),
    "archives-of-newcomers": of("bad-archive-server/nothing", at=(0,), **NEWCOMERS),
    "bad-state-server": of("bad-state-server", at=(1,), **TRANSFERS),
    "poisoned-chunks": of("bad-state-server/another ticket", at=(1,), **TRANSFERS),
    "poisoned-logs": of("bad-state-server/another entry", at=(1,), **TRANSFERS),
    "poisoned-proofs": of("bad-state-server/too few signatures", at=(1,), **TRANSFERS),
    "bad-log-server": of(
        "bad-log-server",
        plan=FaultPlan(pause_max=400 * MILLISECOND, away_max=1_500 * MILLISECOND, crash=1, part=1, heal=2),
        traffic=BUSY,
    ),
    "lone-commit": lone_commit(),
    "lone-commit-swapped-proofs": lone_commit("view-change-forger/swap", at=(1,)),
    "lone-commit-reused-proofs": lone_commit(
        "view-change-forger/reuse", at=(1,), more=(MessageLoss("NewView", sender="r1"),)
    ),
    "lone-commit-fake-checkpoint": lone_commit("view-change-forger/fake-checkpoint", at=(3,)),
    "two-certificates": of(
        parameters=RARE_CHECKPOINTS,
        traffic=Traffic(tickets=10, pause_max=150 * MILLISECOND),
        message_losses=TWO_CERTIFICATES,
        partitions=(
            Partition(SECOND + 300 * MILLISECOND, (("r3",), ("r0", "r1", "r2"))),
            Partition(SECOND + 850 * MILLISECOND, (("r0",), ("r1", "r2", "r3"))),
        ),
        duration=7 * SECOND,
    ),
    "late-committer": of("late-committer", at=(3,), message_losses=COMMITS_OF_OTHER_VIEWS, **BRIEF_VIEWS),
    "alternating-batches": of("late-committer", at=(3,), message_losses=TWO_BATCHES_IN_TURN, **BRIEF_VIEWS),
    "late-votes": of("vote-repeater", at=(2,), message_losses=STRAGGLING, parameters=RARE_CHECKPOINTS),
    "bad-log-results": of(
        "bad-log-server/results",
        plan=FaultPlan(pause_max=300 * MILLISECOND, away_max=800 * MILLISECOND, crash=2, part=1, heal=2),
        parameters=RARE_CHECKPOINTS,
    ),
    "idle-primaries": of("idle-primary", "idle-primary", members=7),
    "censor": of("censor", gateways=1),
    **{
        kind: of(kind, plan=FaultPlan(pause_max=SECOND, away_max=500 * MILLISECOND, crash=1, part=1, heal=2))
        for kind in ("amnesiac", "progress-inflator", "byzzfuzz", "minimal-quorum-sender", "mutator")
    },
    **{
        kind: of(kind)
        for kind in (
            "invalid-batcher",
            "equivocator",
            "flooder",
            "cross-cluster-replayer",
            "forger",
            "impostor",
            "mute",
            "replayer",
            "false-timestamper",
            "twin",
            "byte-corrupter",
            "false-suspector",
            "duplicate-session-client",
            "vote-repeater",
            "early-equivocator",
        )
    },
}
"""The liars have the lowest indexes, so that they lead the first views."""
WORLDS |= {f"raft:{name}": raft.in_raft(WORLDS[name]) for name in IN_RAFT_TOO}
