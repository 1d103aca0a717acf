"""The plan of a run: a cluster, its links, faults, liars and traffic, decided before the world begins.

A random world's plan is drawn (simulator.swarm); named worlds (simulator.worlds) narrow it to one kind of
fault.
"""

from __future__ import annotations

import msgspec

from dtvn.events.config import Algorithm
from simulator.clock_steps import ClockStep
from simulator.faults import FaultPlan
from simulator.membership_changes import MembershipChanges
from simulator.workload import Traffic
from simulator.world import Settings

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
    """An operator's action on one node: `copy` its disk, `revert` it to that copy while it is off, `put back`
    the copy with its witness and in the same files, `start copy`: on a second machine, on a
    copy of its disk, `lose` the disk, `confirm` while it is off that the others are gone, `stop`
    or `start` the node, or let it `retire`, which hands over first."""

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
    events_max: int = 0
    """Events after which the safety phase ends before that; 0: any number."""
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
    suspects_nobody: bool = False
    """True: no member of this world gives another one cause to suspect it."""
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
    overlay: bool = False
    """True: an overlay of followers is played too (simulator.overlay_play)."""
    partition_watches: bool = False
    """True: gateways watch for partitions (simulator.partition_watches)."""
    knobs: bool = False
    """True: the knobs in the product are hit at random (dtvn.protocol.knobs)."""
    forgetful: bool = False
    """True: one member more may lose its disk than the cluster tolerates beside its liars. Then safety must
    hold (R11), but liveness is not required."""
