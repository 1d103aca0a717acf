"""Worlds whose members order by Raft (R44): directed ones, and the worlds of PBFT that fit both.

Term t belongs to member t mod n, so a directed world chooses a leader by losing the RequestVotes of all
others. A member that stops and starts here has the operator's word that the others are gone: without it, no
member votes before all others have shown it its statements (R11).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.events.config import algorithms_of
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.quorum import Mode
from simulator.clock import MILLISECOND, SECOND
from simulator.clock_steps import HOUR, ClockStep
from simulator.faults import FaultPlan
from simulator.membership_changes import MembershipChanges
from simulator.network import LinkQuality
from simulator.run_plan import MessageLoss, OperatorAction, Partition, RunPlan
from simulator.workload import Traffic

FIVE = ("r0", "r1", "r2", "r3", "r4")
CLIENTS = ("client-0", "client-1")
BRISK = Traffic(tickets=10, pause_max=25 * MILLISECOND)
CALM = Traffic(tickets=10, pause_max=80 * MILLISECOND)
STILL = FaultPlan(pause_max=HOUR, heal=1)
"""No fault, nor an end of a cut, but those of the plan."""
RARE_CHECKPOINTS = Parameters(checkpoint_interval=200, view_timeout=500_000)


def in_raft(drawing: Callable[[int], RunPlan]) -> Callable[[int], RunPlan]:
    """The same world, ordered by Raft: one without liars among the members, and without an offline
    recovery (names.IN_RAFT_TOO). Gates may wait twice as long: a leader that no majority answers steps
    down after 2 T, and the next one campaigns within further 2 T."""

    def drawn(seed: int) -> RunPlan:
        plan = drawing(seed)
        return msgspec.structs.replace(
            plan,
            settings=msgspec.structs.replace(plan.settings, mode=Mode.RAFT),
            algorithms=algorithms_of(Mode.RAFT) if plan.algorithms else (),
            decided_within=2 * plan.decided_within,
        )

    return drawn


def elects(name: str, start: int, end: int) -> tuple[MessageLoss, ...]:
    """Meanwhile only this member of five can be elected."""
    return tuple(
        MessageLoss("RequestVote", sender=other, start=start, end=end) for other in FIVE if other != name
    )


def hidden(kinds: tuple[str, ...], receivers: tuple[str, ...], start: int, end: int) -> Any:
    """Messages of these kinds are lost on their way to these members."""
    return tuple(
        MessageLoss(kind, receiver=name, start=start, end=end) for kind in kinds for name in receivers
    )


def back(name: str, stop: int, start: int) -> tuple[OperatorAction, ...]:
    """A member stops, and starts again."""
    return OperatorAction(stop, "stop", name), OperatorAction(start, "start", name)


DECIDING = ("Commit", "SupplyFrames", "Entries")
"""Messages by which a member learns that an entry is decided."""
OF_FIVE: dict[str, Any] = {
    "members": 5,
    "mode": Mode.RAFT,
    "plan": STILL,
    "traffic": BRISK,
    "parameters": RARE_CHECKPOINTS,
}

FIGURE_8: dict[str, Any] = {
    **OF_FIVE,
    "resend_bytes_max": 1,
    "partitions": (
        Partition(SECOND, (("r0", "r1", *CLIENTS), ("r2", "r3", "r4"))),
        Partition(2_400 * MILLISECOND, (("r0", "r2", "r3", *CLIENTS), ("r1",), ("r4",))),
        Partition(4_100 * MILLISECOND, (("r0", "r1"), ("r2", "r3", "r4"), CLIENTS)),
        Partition(7 * SECOND, ()),
    ),
    "operator_actions": (
        *back("r0", 1_300 * MILLISECOND, 2_400 * MILLISECOND),
        *back("r4", 2_400 * MILLISECOND, 4_100 * MILLISECOND),
    ),
    "message_losses": (
        *elects("r4", SECOND, 2_400 * MILLISECOND),
        *elects("r0", 2_400 * MILLISECOND, 4_100 * MILLISECOND),
        *elects("r4", 4_100 * MILLISECOND, 7 * SECOND),
        MessageLoss("AppendEntries", sender="r4", filled="bodies", start=SECOND, end=2_400 * MILLISECOND),
        *hidden(DECIDING, FIVE[1:], 2_400 * MILLISECOND, 4_100 * MILLISECOND),
    ),
    "duration": 8 * SECOND,
}
"""Figure 8 of Ongaro & Ousterhout (2014), with r0 as S1, r4 as S5; one entry is sent at a time. (a) In term 0
r0 has entries that only r1 gets. (b) r0 stops; r4 leads term 4 and has another entry at the first of these
indexes, which nobody gets. (c) r4 stops; r0 leads term 5, and its old entry comes to r2 and r3, so that a
majority has it, but not yet its own entry of term 5. (d) r0 is cut off; r4 leads term 9 and puts its entry in
the place of the old one. If that had its COMMITs before an entry of term 5 is decided, r0 alone has executed
it."""

VOID_RECORDS: dict[str, Any] = {
    **OF_FIVE,
    "partitions": (
        Partition(SECOND, (("r0", "r1", *CLIENTS), ("r2", "r3", "r4"))),
        Partition(1_300 * MILLISECOND, (("r0", *CLIENTS), ("r1", "r2", "r3", "r4"))),
        Partition(2_900 * MILLISECOND, (("r0", "r1", "r4", *CLIENTS), ("r2",), ("r3",))),
        Partition(6 * SECOND, ()),
    ),
    "operator_actions": back("r1", 2_900 * MILLISECOND, 3 * SECOND),
    "message_losses": (
        *elects("r2", SECOND, 2_900 * MILLISECOND),
        *elects("r0", 2_900 * MILLISECOND, 6 * SECOND),
        MessageLoss("AppendEntries", receiver="r4", filled="bodies", start=SECOND, end=2_900 * MILLISECOND),
        *hidden(DECIDING, ("r0", "r2", "r3", "r4"), SECOND, 6_500 * MILLISECOND),
    ),
    "duration": 8 * SECOND,
}
"""r0 and r1 have entries of term 0 that no other member gets. r2 leads term 2, and its first entry replaces
all of them at r1, which alone executes it. Then r1 starts again beside r0 and r4: if its records of term 0
above what it executed came back to life, its log would end as that of r0, which it would elect, and r0 would
put the entry of term 0 in the place of what r1 executed."""

VOID_AND_PRUNED: dict[str, Any] = {
    **VOID_RECORDS,
    "parameters": Parameters(checkpoint_interval=1, view_timeout=500_000),
    "message_losses": (
        *elects("r2", SECOND, 2_900 * MILLISECOND),
        *elects("r0", 2_900 * MILLISECOND, 6 * SECOND),
        MessageLoss("AppendEntries", receiver="r4", filled="bodies", start=SECOND, end=2_900 * MILLISECOND),
        *hidden((*DECIDING, "Snapshot"), ("r0", "r4"), SECOND, 6_500 * MILLISECOND),
    ),
}
"""The same, but r2 and r3 execute too, and each entry is covered by a checkpoint at once: when r1 starts
again, no record says in which term it accepted what it executed, but for the one that is kept."""

SHORT_LOG: dict[str, Any] = {
    **OF_FIVE,
    "partitions": (
        Partition(SECOND, (("r0", "r1", "r2", *CLIENTS), ("r3", "r4"))),
        Partition(1_300 * MILLISECOND, (("r0",), ("r1", "r2", "r3", "r4"))),
        Partition(4 * SECOND, ()),
    ),
    "message_losses": (
        *hidden(DECIDING, ("r1", "r2"), SECOND, 1_300 * MILLISECOND),
        *hidden(("Entries",), FIVE[1:], SECOND, 3 * SECOND),
        *elects("r4", SECOND, 3 * SECOND),
    ),
    "duration": 5 * SECOND,
}
"""r0 alone executes what r1 and r2 hold too. Then it is cut off, and for a while only r4, which lacks it,
asks for votes."""

ONE_OF_THREE: dict[str, Any] = {
    **OF_FIVE,
    "members": 3,
    "partitions": (
        Partition(SECOND, (("r0", "r1", *CLIENTS), ("r2",))),
        Partition(1_500 * MILLISECOND, (("r0",), ("r1", "r2", *CLIENTS))),
        Partition(9 * SECOND, ()),
    ),
    "message_losses": (MessageLoss("Commit", sender="r1", receiver="r2", end=9 * SECOND),),
    "operator_actions": (
        OperatorAction(1_500 * MILLISECOND, "lose", "r1"),
        OperatorAction(1_600 * MILLISECOND, "start", "r1"),
    ),
    "duration": 10 * SECOND,
}
"""r0 and r1 decide what r2 does not get; r1 loses its disk, and r0 is cut off. r1 and r2 are a majority, and
know nothing of it, for r2 never heard what r1 acknowledged: r1 must not vote."""

LATE_DUPLICATES: dict[str, Any] = {
    **OF_FIVE,
    "quality": LinkQuality(latency_max=250 * MILLISECOND, duplication=0.5, reorder=1.0),
    "parameters": Parameters(checkpoint_interval=200, view_timeout=800_000),
    "partitions": (
        Partition(SECOND, (("r0", "r1", "r2", *CLIENTS), ("r3", "r4"))),
        Partition(2 * SECOND, (("r0",), ("r1", "r2", "r3", "r4"))),
        Partition(6 * SECOND, ()),
    ),
    "message_losses": (
        *hidden(DECIDING, ("r1", "r2"), SECOND, 2 * SECOND),
        *hidden(("Entries",), FIVE[1:], SECOND, 6 * SECOND),
        *elects("r1", SECOND, 5 * SECOND),
    ),
    "duration": 7 * SECOND,
}
"""Entries arrive twice and late at r1 and r2, and r0 alone executes them. Then it is cut off, and r1 asks for
votes: what follows an entry that r1 got twice must stay."""

LEADER_RESTARTS: dict[str, Any] = {
    **OF_FIVE,
    "partitions": (
        Partition(SECOND, (("r0",), ("r1", "r2", "r3", "r4", *CLIENTS))),
        Partition(2_200 * MILLISECOND, ()),
    ),
    "message_losses": elects("r1", SECOND, 2_500 * MILLISECOND),
    "operator_actions": (
        OperatorAction(2_500 * MILLISECOND, "stop", "r1"),
        OperatorAction(2_550 * MILLISECOND, "start", "r1"),
    ),
    "duration": 4 * SECOND,
}
"""An elected leader starts anew, before another member misses it."""

UNHEARD_LEADER: dict[str, Any] = {
    **OF_FIVE,
    "traffic": Traffic(tickets=10, pause_max=2 * SECOND),
    "message_losses": (
        MessageLoss("AppendEntries", sender="r0", receiver="r4", start=SECOND, end=4 * SECOND),
    ),
    "duration": 5 * SECOND,
}
"""One member does not hear the leader, and all others do."""

MINORITY_LEADER: dict[str, Any] = {
    **OF_FIVE,
    "partitions": (
        Partition(SECOND, (("r0", "r1", "client-0"), ("r2", "r3", "r4", "client-1"))),
        Partition(4 * SECOND, ()),
    ),
    "duration": 5 * SECOND,
}
"""A leader is cut off with a minority while gates call it: nothing of what it proposes is acknowledged, and
it steps down. After the cut it follows."""

BRIEF_CUT: dict[str, Any] = {
    **OF_FIVE,
    "partitions": (
        Partition(SECOND, (("r0", "r1", "client-0"), ("r2", "r3", "r4", "client-1"))),
        Partition(1_950 * MILLISECOND, ()),
    ),
    "duration": 3 * SECOND,
}
"""The same, but it heals before the old leader steps down: it learns of the later term from a follower."""

NO_ROOM: dict[str, Any] = {
    **OF_FIVE,
    "parameters": Parameters(checkpoint_interval=5, view_timeout=500_000),
    "message_losses": hidden(
        ("Checkpoint", "SupplyFrames", "Entries", "Snapshot"), ("r4",), SECOND, 3 * SECOND
    ),
    "duration": 4 * SECOND,
}
"""A follower gets entries and no checkpoints, so that its window fills up."""

THREE_TWO: dict[str, Any] = {
    **OF_FIVE,
    "partitions": (
        Partition(SECOND, (("r0", "r1", "r2", "client-0"), ("r3", "r4", "client-1"))),
        Partition(3 * SECOND, ()),
        Partition(4 * SECOND, (("r0", "r1", "client-0"), ("r2", "r3", "r4", "client-1"))),
        Partition(6 * SECOND, ()),
    ),
    "message_losses": hidden(("Entries",), ("r0", "r1"), 6 * SECOND, 7 * SECOND),
    "duration": 7 * SECOND,
}
"""Three and two are cut apart, once with the leader among the three, once among the two; then it heals, and
for a while the two get entries from their new leader alone."""

HUB: dict[str, Any] = {
    **OF_FIVE,
    "traffic": Traffic(tickets=20, pause_max=200 * MILLISECOND, undated=True),
    "partitions": (
        Partition(2 * SECOND, (("r0",), ("r1",), ("r3",), ("r4",))),
        Partition(12 * SECOND, ()),
    ),
    "decided_within": 3 * SECOND,
    "duration": 14 * SECOND,
}
"""For ten seconds only r2 is linked to all, and r0 leads: nobody decides until r2 does."""

LOST_DISKS: dict[str, Any] = {
    **OF_FIVE,
    "parameters": Parameters(checkpoint_interval=5, view_timeout=500_000),
    "operator_actions": (
        OperatorAction(SECOND, "lose", "r1"),
        OperatorAction(1_100 * MILLISECOND, "start", "r1"),
    ),
    "partitions": (
        Partition(1_500 * MILLISECOND, (("r0",), ("r1", "r2", "r3", "r4", *CLIENTS))),
        Partition(3 * SECOND, ()),
    ),
    "traffic": CALM,
    "duration": 4 * SECOND,
    "votes_return": True,
}
"""A member loses its disk, and soon afterwards the leader is cut off. Its vote returns at rest."""

CHANGES: dict[str, Any] = {
    "members": 3,
    "mode": Mode.RAFT,
    "changes": MembershipChanges(pause_max=500 * MILLISECOND, least=2, small=0.8),
    "spares": 3,
    "plan": FaultPlan(pause_max=800 * MILLISECOND, away_max=600 * MILLISECOND, crash=2, part=1, heal=2),
    "traffic": CALM,
}
"""Members join and leave among crashes (R35): terms begin anew in each epoch."""

LEADERS_CLOCK: dict[str, Any] = {
    **OF_FIVE,
    "traffic": Traffic(tickets=20, pause_max=80 * MILLISECOND, undated=True),
    "clock_steps": (ClockStep(SECOND, "r0", HOUR), ClockStep(8 * SECOND, "r0", 0)),
    "duration": 10 * SECOND,
}
"""The clock of the leader steps an hour ahead: it holds the step back, and leads on (R3)."""

FIRST_CLOCK: dict[str, Any] = {
    **LEADERS_CLOCK,
    "clock_steps": (ClockStep(0, "r0", HOUR), ClockStep(8 * SECOND, "r0", 0)),
}
"""The same from the beginning, which is no step: it proposes by the clocks of the others."""

CLOCKS_APART: dict[str, Any] = {
    "members": 3,
    "mode": Mode.RAFT,
    "traffic": Traffic(tickets=20, pause_max=500 * MILLISECOND, undated=True),
    "clock_steps": (ClockStep(0, "r1", 30 * SECOND), ClockStep(0, "r2", -30 * SECOND)),
    "partitions": (
        Partition(5 * SECOND, (("r0",), ("r1", "r2", *CLIENTS))),
        Partition(15 * SECOND, (("r1",), ("r0", "r2", *CLIENTS))),
        Partition(25 * SECOND, (("r2",), ("r0", "r1", *CLIENTS))),
        Partition(35 * SECOND, ()),
    ),
    "duration": 45 * SECOND,
    "decided_within": 4 * SECOND,
}
"""No two clocks of three are near each other, and each pair of members must lead alone for a while (R3)."""

COMES_BACK: dict[str, Any] = {
    **OF_FIVE,
    "partitions": (
        Partition(SECOND, (("r4",), ("r0", "r1", "r2", "r3", *CLIENTS))),
        Partition(4 * SECOND, ()),
    ),
    "duration": 5 * SECOND,
}
"""A follower is cut off, misses its leader, and comes back: it disturbs no term that others are in."""

HEAD_FROM_THE_FUTURE: dict[str, Any] = {
    "members": 3,
    "mode": Mode.RAFT,
    "learners": 1,
    "plan": STILL,
    "traffic": BRISK,
    "clock_steps": (ClockStep(0, "r1", HOUR),),
    "partitions": (
        Partition(3 * SECOND, (("learner-0",), ("r0", "r1", "r2", *CLIENTS))),
        Partition(15 * SECOND, ()),
    ),
    "duration": 17 * SECOND,
}
"""The clock of one member is an hour ahead, so that its first head is dated an hour from now. Then a learner
is cut off: each second it is a second older (R45)."""

ONE_GONE: dict[str, Any] = {
    **OF_FIVE,
    "members": 3,
    "traffic": Traffic(tickets=20, pause_max=400 * MILLISECOND, undated=True),
    "operator_actions": (
        OperatorAction(SECOND, "stop", "r2"),
        *back("r0", 3 * SECOND, 3_500 * MILLISECOND),
        *back("r1", 9 * SECOND, 9_500 * MILLISECOND),
    ),
    "decided_within": 5 * SECOND,
    "duration": 15 * SECOND,
}
"""One of three is gone for good; the others start again, one after the other."""

PUT_BACK: dict[str, Any] = {
    **OF_FIVE,
    "members": 3,
    "partitions": (
        Partition(SECOND, (("r0", "r2", *CLIENTS), ("r1",))),
        Partition(1_500 * MILLISECOND, (("r0", *CLIENTS), ("r1",))),
        Partition(6 * SECOND, ()),
    ),
    "operator_actions": (
        OperatorAction(SECOND, "copy", "r2"),
        OperatorAction(1_500 * MILLISECOND, "put back", "r2"),
        OperatorAction(1_600 * MILLISECOND, "start", "r2"),
    ),
    "message_losses": hidden(("AppendEntries", "Entries"), ("r2",), 1_500 * MILLISECOND, 6 * SECOND),
    "duration": 7 * SECOND,
}
"""r0 and r2 decide what r1 does not hear. Then r2 has an older disk, put back with its witness, and hears r0
and r1, but not what r0 has. r1 asks for its vote: r0's answer about r2's acknowledgements must be enough."""

UNHEARD_ANSWER: dict[str, Any] = {
    **OF_FIVE,
    "members": 3,
    "partitions": (
        Partition(1_500 * MILLISECOND, (("r0",), ("r1", "r2", *CLIENTS))),
        Partition(6 * SECOND, ()),
    ),
    "operator_actions": PUT_BACK["operator_actions"],
    "message_losses": (
        *hidden(("AppendEntries", "Entries"), ("r1",), SECOND, 1_500 * MILLISECOND),
        *hidden(("Pong",), ("r2",), 1_500 * MILLISECOND, 6 * SECOND),
    ),
    "duration": 7 * SECOND,
}
"""r0 and r2 decide what r1 does not get, although it hears how they acknowledge it. Then r2 has an older
disk, r0 is cut off, and r2 hears no answer. What r2 grants r1 must not count there."""

COPY_BESIDE: dict[str, Any] = {
    **OF_FIVE,
    "members": 3,
    "traffic": CALM,
    "partitions": (
        Partition(SECOND, (("r0", "r2", *CLIENTS), ("r1",))),
        Partition(5 * SECOND, ()),
    ),
    "operator_actions": (OperatorAction(900 * MILLISECOND, "start copy", "r2"),),
    "message_losses": (
        *hidden(("AppendEntries",), ("r1", "r2"), 850 * MILLISECOND, SECOND),
        *hidden(("AppendEntries", "Entries"), ("r2~twin",), 850 * MILLISECOND, 5 * SECOND),
    ),
    "duration": 6 * SECOND,
}
"""A copy of r2's disk is started beside r2 while nothing is decided, and all hear both. What r0 decides with
one of them r1 does not hear, and it asks the other one for its vote."""

READS: dict[str, Any] = {
    **OF_FIVE,
    "learners": 1,
    "readers": True,
    "traffic": Traffic(tickets=4, pause_max=150 * MILLISECOND, undated=True),
    "parameters": Parameters(checkpoint_interval=200, view_timeout=2_000_000),
    "partitions": (
        Partition(SECOND, (("r0", "client-0", "learner-0"), ("r1", "r2", "r3", "r4", "client-1"))),
        Partition(6 * SECOND, ()),
    ),
    "message_losses": (
        *hidden(("Commit",), ("r0",), 100 * MILLISECOND, SECOND),
        *hidden(("Bundle",), ("r0",), 900 * MILLISECOND, 6 * SECOND),
    ),
    "duration": 7 * SECOND,
}
"""At first the followers decide before the leader, and answer callers. Then it is cut off with a reader and
the platform's copy, and all that is in its log is decided, while the others elect another one and decide:
the copy shows the reader nothing that is older than what was reported before."""
