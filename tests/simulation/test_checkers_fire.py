"""Each checker says its sentence about the smallest history that breaks its promise.

In whole worlds (`test_checkers.py`) a planted bug is often noticed by another checker first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.gateway import Result
from dtvn.machine import (
    Acquire,
    Command,
    Consume,
    Issue,
    Lock,
    Reconfigure,
    State,
    TicketState,
    Validate,
)
from dtvn.machine.commands import build
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus import EPOCH, RAFT_TERM, RaftReplica, Replica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import HOLDS_TIME, SILENT
from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    EntryRecord,
    Executed,
    Note,
    Now,
    Prune,
    Reason,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.genesis.terms import Parameters
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire import link_frame
from simulator import checkers
from simulator.checkers import exports, read_your_writes, reads
from simulator.checkers.ages import Ages
from simulator.checkers.agreement import Agreement
from simulator.checkers.archives import Archives
from simulator.checkers.as_the_model import AsTheModel
from simulator.checkers.at_most_once import AtMostOnce
from simulator.checkers.bounds import LOOK_EVERY, Bounds
from simulator.checkers.certificates import Certificates
from simulator.checkers.durability import Durability
from simulator.checkers.durable_before_send import DurableBeforeSend
from simulator.checkers.epoch_changes import EpochChanges
from simulator.checkers.evidence import EvidenceKept
from simulator.checkers.exports import Exports
from simulator.checkers.fault_tolerance_kept import FaultToleranceKept
from simulator.checkers.held_time import HeldTime
from simulator.checkers.history import History
from simulator.checkers.learner import Learners
from simulator.checkers.linearizable import Linearizable
from simulator.checkers.lock_order import LockOrder
from simulator.checkers.low_watermark import LowWatermark
from simulator.checkers.never_two_holders import NeverTwoHolders
from simulator.checkers.no_spurious_view_change import NoSpuriousViewChange
from simulator.checkers.one_holder import OneHolder
from simulator.checkers.opening_flood_borne import FLOODING, OpeningFloodBorne
from simulator.checkers.own_clocks import OwnClocks
from simulator.checkers.proposal_time import ProposalTime
from simulator.checkers.proposer_time import ProposerTime
from simulator.checkers.quiescence import TURNS_MAX, Quiescence
from simulator.checkers.raft_elections import RaftElections
from simulator.checkers.read_your_writes import RARER, ReadYourWrites
from simulator.checkers.reads import Reads
from simulator.checkers.repeats import Repeats
from simulator.checkers.state_roots import StateRoots
from simulator.checkers.statements import Statements
from simulator.checkers.stops_on_fork import StopsOnFork
from simulator.checkers.validity import Validity
from simulator.checkers.voting_rights import VotingRights
from simulator.clock import MICROSECOND, MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.gateway import Request
from simulator.seams import peer_limits
from simulator.violation import Violation
from tests.consensus.world import make
from tests.simulation.stand_ins import CLUSTER, StandInHistory, StandInWorld, asked, entry, word
from tests.support.table import table

NOON = 20_000 * 86_400_000_000 + 43_200_000_000
ROOTS = word("state"), word("log"), 50
GATE: Any = SimpleNamespace(name="gate", principal="gate")
OPENINGS_MAX = 4 * (peer_limits.OPENINGS_BURST + peer_limits.OPENINGS_PER_SECOND)
H1, H2 = b"holder 1", b"holder 2"
FIRES: list[tuple[Callable[[], object], str]] = []
SHOWN_ELSEWHERE = {
    "counted",
    "decision-rules",
    "honest-quorum",
    "one-history",
    "run-answers",
    "slow-primary-deposed",
    "vote-evidence",
}
"""Planted bugs of their own worlds fire these, and `test_counted.py`, `test_slow_primary_deposed.py`."""


def fires(sentence: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Register a history that ends in this violation."""

    def register(history: Callable[[], object]) -> Callable[[], object]:
        FIRES.append((history, sentence))
        return history

    return register


def operation(command: Command, ticket: str = "", **said: Any) -> m.Operation:
    return build(
        command, ticket=ticket, **{"actor": "anna", "entry": "m0", "valid_until": NOON + 900_000_000, **said}
    )


def consumes(ticket: str = "a", **said: Any) -> m.Operation:
    return operation(Consume(), ticket, **said)


def shown(ticket: str, sequence: int = 1) -> bytes:
    last = 1, sequence, 0, "consume", "gate", "anna", b"", "", "", "", (0,)
    return canonical.encode(TicketState("default", ticket, State.CONSUMED, "m0", *last))


def world_of(members: int = 4, **said: Any) -> Any:
    return StandInWorld(members, **said)


def logged(
    world: Any, kind: Any, *batches: tuple[m.Operation, str, bytes], at: int = NOON, **said: Any
) -> Any:
    """A checker that read a log of these operations, a batch each, and is told so."""
    history: Any = StandInHistory(world)
    checker = kind(world, history)
    for number, (done, code, state) in enumerate(batches, 1):
        history.batch(at + number, (done, m.Outcome(code, state)), **said)
    checker.persisted(world.nodes["m0"], [])
    return checker


def signed(world: Any, message: Any, *senders: int) -> tuple[bytes, ...]:
    return tuple(world.sign(msgspec.structs.replace(message, sender=each)) for each in senders)


def vote(kind: Any = m.Prepare, *, sender: int = 0, what: str = "batch") -> Any:
    return kind(0, sender, 1, 5, word(what))


# --- entries and their proofs ----------------------------------------------------------------------


@fires(
    "agreement: at 1 m1 has {}, m0 has {}".format(
        *(e.entry_hash.hex()[:12] for e in (entry(1, "other"), entry(1)))
    )
)
def two_members_execute_unlike_entries() -> None:
    world = world_of()
    checker = Agreement(world)
    checker.persisted(world.nodes["m0"], [entry(1)])
    checker.persisted(world.nodes["m1"], [entry(1, "other")])


@fires("certificates: m0: 2 of 3 members prove entry 5")
def a_member_counts_itself_twice() -> None:
    world = world_of()
    frames = signed(world, vote(m.Commit), 0, 1, 1)
    Certificates(world, Statements(world, world)).persisted(world.nodes["m0"], [entry(5, commits=frames)])


@fires("low-watermark: m0: the certificate of 5 has 2 signers")
def a_checkpoint_is_stable_too_soon() -> None:
    world = world_of()
    frames = signed(world, m.Checkpoint(0, 0, 5, *ROOTS), 0, 1)
    LowWatermark(world, Statements(world, world)).persisted(
        world.nodes["m0"], [CheckpointRecord(0, 5, *ROOTS, frames)]
    )


@fires("low-watermark: m0 forgets up to 6, proven is 0")
def a_member_prunes_what_no_checkpoint_proves() -> None:
    world = world_of()
    LowWatermark(world, Statements(world, world)).persisted(world.nodes["m0"], [Prune(6)])


@fires("state-roots: m0 has not the state that the log gives after 5")
def a_member_signs_another_state() -> None:
    world = world_of()
    StateRoots(world, StandInHistory(world)).spoke(  # type: ignore[arg-type]
        world.nodes["m0"], "m2", world.sign(m.Checkpoint(0, 0, 5, *ROOTS))
    )


@fires("learner: l0 ends at 0, members at {'m0': 1, 'm1': 0, 'm2': 0, 'm3': 0}")
def a_learner_never_catches_up() -> None:
    world = world_of(learners=1)
    world.nodes["m0"].disk.log.append(entry(1))
    Learners(world).finish()


@fires("archives: m1 lacks 1 entries, from 1 to 1")
def an_archive_stays_empty() -> None:
    world = world_of()
    world.run_for = lambda time, done: done()
    world.nodes["m1"].disk.log.append(None)
    Archives(world).finish()


@fires("ages: l0 says that its log of 1 is 9900 ms old, but before that every honest member had 2")
def a_follower_calls_its_old_log_young() -> None:
    world = world_of(learners=1)
    checker, follower = Ages(world), world.nodes["l0"]
    for node in world.nodes.values():
        node.clock = SimpleNamespace(skew=0)
        checker.started(node)
    for at in (10, 20):
        world.time = at * SECOND
        for name in world.member_names:
            node = world.nodes[name]
            node.disk.log.append(entry(len(node.disk.log) + 1))
            checker.persisted(node, [node.disk.log[-1]])
    world.time = 30 * SECOND
    follower.host = SimpleNamespace(executed=1, age=lambda: 9_900_000)
    checker.turning(follower)


# --- what clients are told -------------------------------------------------------------------------


@fires("durability: gate was told already_consumed of (1, 0): it is ok")
def a_client_is_told_another_code() -> None:
    checker = logged(world_of(), Durability, (consumes(), "ok", b""))
    checker.answered(GATE, asked((consumes(), Result("already_consumed", sequence=1))))


@fires("durability: 1 was acknowledged, but only 2 of 3 disks hold it")
def an_answer_comes_before_a_quorum_of_disks() -> None:
    world = world_of()
    checker = logged(world, Durability, (consumes(), "ok", b""))
    for name in ("m0", "m1"):
        world.nodes[name].disk.log.append(entry(1))
    checker.persisted(world.nodes["m0"], [entry(1)])
    checker.answered(GATE, asked((consumes(), Result("ok", sequence=1))))


def gates() -> Any:
    """A world whose principal `gate` may scan."""
    world = world_of()
    may = tuple(SimpleNamespace(capability=each) for each in ("gate", "issue", "operate"))
    world.genesis.principals = (SimpleNamespace(name="gate", grants=may),)
    return world


@fires("at-most-once: bundle 1 of session (1, 1) at 1 and 2")
def a_request_is_executed_twice() -> None:
    world, bundle = gates(), SimpleNamespace(session=(1, 1), number=1, operations=())
    history: Any = SimpleNamespace(bundles=[(1, bundle, ()), (2, bundle, ())])
    AtMostOnce(world, history, AsTheModel(world, history)).persisted(world.nodes["m0"], [])


@fires("at-most-once: 'a': ['(1, 0)'] were all told ok")
def a_client_is_told_of_an_entry_that_was_not_made() -> None:
    world, history = gates(), StandInHistory(world_of())
    checker = AtMostOnce(world, history, AsTheModel(world, history))
    checker.answered(GATE, asked((consumes(), Result("ok", shown("a"), 1))))


def soon() -> m.Operation:
    return consumes(valid_until=NOON + SECOND // 1_000, nonce=b"n1")


@fires("model: the log answers ok, the model ticket_not_found to consume a at 3: Consume(gate='', device='')")
def a_repeat_is_answered_otherwise() -> None:
    issued = operation(Issue(), "a", valid_until=NOON + SECOND // 1_000), "ok", b""
    logged(gates(), AsTheModel, (soon(), "ticket_not_found", b""), issued, (soon(), "ok", shown("a")))


@fires("model: the log answers ok, the model ticket_not_found to consume a at 1: Consume(gate='', device='')")
def a_ticket_that_nobody_issued_is_consumed() -> None:
    logged(gates(), AsTheModel, (soon(), "ok", shown("a")))


@fires("validity: consume at 1 was executed 1 us late")
def a_request_is_executed_after_its_end() -> None:
    world = world_of()
    world.genesis.principals = (SimpleNamespace(name="gate", grants=("all",)),)
    logged(world, Validity, (consumes(valid_until=NOON), "ok", b""))


@fires("validity: guest may do nothing, but its consume at 1 is ok")
def a_principal_without_a_grant_is_served() -> None:
    world = world_of()
    world.genesis.principals = (SimpleNamespace(name="guest", grants=()),)
    logged(world, Validity, (consumes(), "ok", b""), principal="guest")


@fires(
    "linearizable: no order of its calls explains a of default: issue a [0, 1] ok, "
    "validate a [2, 3] ticket_not_found"
)
def a_ticket_that_was_issued_is_not_found() -> None:
    client: Any = SimpleNamespace(principal="gate", name="gate", world=SimpleNamespace(cluster=CLUSTER))
    client.requests = [
        Request(at, (operation(command, "a"),), at, (Result(code),), at + 1)
        for at, command, code in ((0, Issue(), "ok"), (2, Validate(), "ticket_not_found"))
    ]
    checker = Linearizable(world_of())
    checker.watch([client])
    checker.finish()


@fires("read-your-writes: l0 shows a as of 4, but its state of 5 was acknowledged")
def a_reader_shows_an_older_state() -> None:
    world = world_of(learners=1)
    node = world.nodes["l0"]
    node.serves_reads, node.disk.applied, node.bring_rows_up = True, 5, lambda: None
    checker = ReadYourWrites(world)
    client: Any = SimpleNamespace(name="gate", collector=SimpleNamespace(acknowledged=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_your_writes, "ticket_shown", lambda *_asked: 4)
        for _ in range(4 * RARER):
            checker.answered(client, asked((consumes(), Result("ok", shown("a", 5)))))
            checker.noticed(node, Executed(entry(5).entry, word("hash"), (), 0))


# --- locks -----------------------------------------------------------------------------------------


def lease(holder: bytes, token: int, ends: int) -> bytes:
    return canonical.encode(LockRow("gate", holder, token, ends))


@fires("one-holder: door at 2: token 5 after 5")
def a_lease_does_not_raise_the_token() -> None:
    first, second = operation(Acquire("desk", H1, 9)), operation(Acquire("door", H2, 9))
    leases = (first, "ok", lease(H1, 5, NOON + 10)), (second, "ok", lease(H2, 5, NOON + 11))
    logged(world_of(), OneHolder, *leases)


@fires("lock-order: desk at 2: lock is ok, not lock_held")
def a_lock_is_given_to_two() -> None:
    first, second = (operation(Lock("desk", holder, 100)) for holder in (H1, H2))
    leases = (first, "ok", lease(H1, 5, NOON + 101)), (second, "ok", lease(H2, 6, NOON + 102))
    logged(world_of(), LockOrder, *leases)


@fires("never-two-holders: desk: ('gate', b'holder 2') and ('gate', b'holder 1') have the token 5")
def two_clients_are_told_one_token() -> None:
    checker = NeverTwoHolders(world_of())
    for holder, at in ((H1, 10), (H2, 30)):
        told = Result("ok", lease(holder, 5, at + 10), 1, 0, at)
        checker.answered(GATE, asked((operation(Lock("desk", holder, 100)), told)))


# --- epochs ----------------------------------------------------------------------------------------


def changed(world: Any, kind: Any, after: int) -> None:
    """The log's first operation changes the members to these, without a word that they live."""
    history: Any = StandInHistory(world)
    history.epochs.append(
        history.epochs[0].followed_by(1, tuple(map(world.member, range(after))), Parameters(version=NEWEST))
    )
    history.batch(NOON, (operation(Reconfigure(Change(0))), m.Outcome("ok", b"")))
    checker = (
        EpochChanges(world, Statements(world, world), history)
        if kind is EpochChanges
        else kind(world, history)
    )
    checker.persisted(world.nodes["m0"], [])


@fires("epoch-changes: the change at 1 has liveness proofs of [] only (R36)")
def members_change_without_proofs_of_life() -> None:
    changed(world_of(), EpochChanges, 5)


@fires("fault-tolerance-kept: the change at 1 leaves 3 of 4 members, which nobody meant (R37)")
def a_change_gives_up_a_liar_unmeant() -> None:
    changed(world_of(), FaultToleranceKept, 3)


@fires("epoch-changes: m0 enters an epoch 1 that the log does not begin")
def a_member_enters_an_epoch_of_its_own() -> None:
    world = world_of()
    history: Any = StandInHistory(world)
    entered = canonical.encode_trimmed(history.epochs[0].followed_by(7, (), Parameters(version=NEWEST)))
    checker = EpochChanges(world, Statements(world, world), history)
    checker.persisted(world.nodes["m0"], [StateRecord(EPOCH, entered)])


@fires("repeats: the outcome at (2, 0) names no first one, which is at (1, 0)")
def a_repeat_passes_for_the_first() -> None:
    world = world_of()
    history: Any = StandInHistory(world)
    for time in (NOON, NOON + 1):
        history.batch(time, (consumes(nonce=b"scan"), m.Outcome("ok", b"", ())))
    Repeats(world, history).finish()


# --- votes and views -------------------------------------------------------------------------------


@fires("voting-rights: m0 lost its ledger and says Prepare")
def a_member_votes_without_its_disk() -> None:
    world = world_of()
    world.nodes["m0"].disk.voting = False
    VotingRights(world).spoke(world.nodes["m0"], "m1", world.sign(vote()))


@fires("durable-before-send: m0 says Prepare 5 of view 1, but no pre_prepare of it is durable")
def a_vote_leaves_before_it_is_durable() -> None:
    world = world_of()
    DurableBeforeSend(world).spoke(world.nodes["m0"], "m1", world.sign(vote()))


@fires("durable-before-send: m0 contradicts itself: Prepare (0, 1, 5)")
def a_member_votes_twice() -> None:
    world = world_of()
    node, checker = world.nodes["m0"], DurableBeforeSend(world)
    frames = [world.sign(vote(what=what)) for what in ("batch", "other")]
    node.disk.slots[0, 1, 5, "pre_prepare"] = SlotRecord(0, 1, 5, "pre_prepare", tuple(frames))
    for frame in frames:
        checker.spoke(node, "m1", frame)


@fires("evidence: m1 holds against m2, which is honest: two PREPAREs")
def an_honest_member_is_accused() -> None:
    world = world_of()
    checker = EvidenceKept(world, Statements(world, world))
    checker.noticed(world.nodes["m1"], Note("evidence", {"sender": 2, "text": "two PREPAREs"}))


@fires("evidence: 5 contradictions of liars, and not one piece of evidence")
def nobody_keeps_the_evidence() -> None:
    world = world_of()
    checker = EvidenceKept(world, Statements(world, world))
    world.nodes["m3"].honest = False
    for node in world.nodes.values():
        log = SimpleNamespace(slots=dict.fromkeys(range(10)))
        views = SimpleNamespace(is_active=lambda view: view == 1)
        node.core = SimpleNamespace(state=SimpleNamespace(views=views, log=log), executed=0)
    for sequence in range(1, 6):
        for what in ("one", "two"):
            said = msgspec.structs.replace(vote(sender=3, what=what), sequence=sequence)
            checker.delivered("m3", "m1", world.sign(said))
    checker.finish()


@fires("quiescence: m0 takes 20001 turns in a second, 0 frames wait")
def a_member_spins() -> None:
    world = world_of()
    checker = Quiescence(world)
    for _ in range(TURNS_MAX + 1):
        checker.turning(world.nodes["m0"])


@fires("no-spurious-view-change: m0 leaves for view 1; only [] ever wanted it (R29)")
def a_member_leaves_a_view_alone() -> None:
    world = world_of()
    leaves = world.sign(m.ViewChange(0, 0, 1, (), ()))
    NoSpuriousViewChange(world).spoke(world.nodes["m0"], "m1", leaves)


@fires(
    "no-spurious-view-change: m0 woke up and blames the primary at once: "
    "{'view': 1, 'reason': 'silent_primary'} (R31)"
)
def a_member_blames_the_primary_for_its_own_sleep() -> None:
    world = world_of()
    world.settings.parameters = msgspec.structs.replace(Parameters(), view_timeout=1_000_000)
    node, checker = world.nodes["m0"], NoSpuriousViewChange(world)
    node.core, node.slept, world.time = member(Replica), (1 * SECOND, 11 * SECOND), 11 * SECOND
    now = 100 * SECOND
    node.core.suspicion = SimpleNamespace(
        progress_due=lambda _wait: now, new_view_due=lambda _wait: None, primary_heard=now
    )
    node.core.state.now = Now(now, 0)
    node.core.state.log = SimpleNamespace(unexecuted=lambda _executed: [])
    node.core.rejoin_views = SimpleNamespace(waits=lambda primary: False)
    checker.turning(node)
    checker.noticed(node, Note("suspected", {"view": 1, "reason": SILENT}))


def member(kind: Any, *, view: int = 0) -> Any:
    """A replica of which there is only what checkers look at."""
    core = kind.__new__(type("StandIn", (kind,), {"executed": 0, "config": None}))
    core.state = SimpleNamespace(
        q=2,
        now=Now(0, 0),
        timeouts=SimpleNamespace(timeout=SECOND),
        views=SimpleNamespace(view=view, changing=False, primary=1),
    )
    core.elections = SimpleNamespace(leads=True, heard=0)
    return core


@fires("stops-on-fork: m0 was shown two certified states after 5 and goes on")
def a_member_goes_on_after_a_fork() -> None:
    world = world_of()
    checker = StopsOnFork(world, Statements(world, world))
    record = CheckpointRecord(0, 5, word("one"), word("log"), 50, ())
    world.nodes["m0"].disk.checkpoints.append(record)
    checker.persisted(world.nodes["m0"], [record])
    other = signed(world, m.Checkpoint(0, 0, 5, word("two"), word("log"), 50), 0, 1, 2)
    checker.delivered("m1", "m0", link_frame(m.Pong(1, 5, (), other)))
    checker.finish()


@fires("stops-on-fork: m0 stopped: {'sequence': 5}")
def a_member_stops_without_a_fork() -> None:
    world = world_of()
    checker = StopsOnFork(world, Statements(world, world))
    checker.noticed(world.nodes["m0"], Note("contradiction", {"sequence": 5}))


# --- times and bounds ------------------------------------------------------------------------------


def proposing(wall: int) -> tuple[Any, Any, Any]:
    """Member m1 has the proposal 7 of 5 s and a wall clock in microseconds; drift up to a millisecond."""
    world = world_of()
    world.settings.parameters = msgspec.structs.replace(Parameters(), drift_bound=1_000)
    node = world.nodes["m1"]
    node.clock = SimpleNamespace(now=lambda: Now(0, wall * MICROSECOND))
    node.core = member(Replica)
    batch = m.Batch(1, 5_000_000, ())
    slot = SimpleNamespace(
        digest=word("batch"),
        view=1,
        sequence=7,
        abstain_reason=Reason.BAD_TIMESTAMP,
    )
    node.core.state.log = SimpleNamespace(slots={7: slot})
    node.core.state.bodies = {word("batch"): SimpleNamespace(batch=batch)}
    frame = world.sign(m.PrePrepare(0, 0, 1, 7, word("batch")))
    checker = ProposalTime(world)
    checker.delivered("m0", "m1", frame)
    checker.turning(node)
    return checker, node, SlotRecord(0, 1, 7, "pre_prepare", (frame,), canonical.encode(batch))


@fires("proposal-time: m1 votes for 7, whose time is off by 1001 us")
def a_member_votes_for_a_time_ahead() -> None:
    checker, node, proposal = proposing(5_000_000 - 1_001)
    checker.persisted(node, [proposal, SlotRecord(0, 1, 7, "prepare", ())])


@fires("proposal-time: m1 withholds its vote for 7, whose time is off by [0] us")
def a_member_withholds_its_vote_from_a_right_time() -> None:
    checker, node, _ = proposing(5_000_000)
    checker.noticed(node, Note("abstained", {"sequence": 7, "reason": Reason.BAD_TIMESTAMP.value}))


@fires(f"opening-flood-borne: m0 executed {OPENINGS_MAX + 1} openings of a flood (P15)")
def a_flood_of_openings_is_executed() -> None:
    world = world_of()
    opening = m.Bundle(0, FLOODING, b"client", m.UNOPENED, 1, 0, ()), 0, ()
    note = Executed(entry(5).entry, word("hash"), (opening,) * (OPENINGS_MAX + 1), 0)
    OpeningFloodBorne(world).noticed(world.nodes["m0"], note)


def bounded(kind: Any) -> tuple[Any, Any]:
    world = world_of()
    node = world.nodes["m1"]
    core = node.core = member(kind)
    type(core).config = SimpleNamespace(
        n=4,
        window=20,
        pipeline=3,
        batch_operations_max=2,
        batch_bytes_max=1_000,
        watermark_span=30,
        pool_operations_max=50,
    )
    core.policy = SimpleNamespace(size=lambda: (0, 51))
    core.state.log = SimpleNamespace(stable=10, slots={}, certificates={}, late={}, decisions={})
    core.state.future = SimpleNamespace(_count=[0], _frames_share=7)
    core.state.views.view_changes = {}
    core.suspicion = SimpleNamespace(suspects={})
    core.state.clocks = SimpleNamespace(_shown={})
    return Bounds(world), node


@fires("bounds: m1 holds 51 operations waiting, at most 50 are allowed")
def a_pool_outgrows_its_bound() -> None:
    checker, node = bounded(Replica)
    for _ in range(LOOK_EVERY):
        checker.turning(node)


@fires("bounds: m1 proposes 31, its window ends at 30")
def a_primary_proposes_beyond_its_window() -> None:
    checker, node = bounded(Replica)
    frame = checker.world.sign(m.PrePrepare(0, 1, 5, 31, word("batch")))
    checker.persisted(
        node, [SlotRecord(0, 5, 31, "pre_prepare", (frame,), canonical.encode(m.Batch(5, 1, (b"",))))]
    )


# --- Raft ------------------------------------------------------------------------------------------


def raft(term: int) -> tuple[Any, Any]:
    """Member m1 of three, with this term on its disk and as its own, and a checker of elections."""
    world = world_of(3, mode=Mode.RAFT)
    node = world.nodes["m1"]
    node.core = member(RaftReplica, view=term)
    node.disk.states[RAFT_TERM] = StateRecord(RAFT_TERM, canonical.encode((0, term)))
    return RaftElections(world), node


def leads(term: int, *bodies: bytes) -> bytes:
    return link_frame(m.AppendEntries(0, term, 0, 0, bodies, 0))


@fires("raft-elections: m1 says RequestVote of term 10, durable is 9")
def a_member_speaks_in_a_term_that_is_not_durable() -> None:
    checker, node = raft(9)
    checker.delivered("m2", "m1", link_frame(m.RequestVoteResult(0, 10, True, True, 10)))
    checker.spoke(node, "m2", link_frame(m.RequestVote(0, 10, 0, 0, 0, False, 0)))


@fires("raft-elections: m1 leads in term 4, and 1 members wanted it")
def a_member_leads_with_its_own_vote_alone() -> None:
    checker, node = raft(4)
    checker.spoke(node, "m2", leads(4))


@fires("raft-elections: m0 sends entry 1, and its own disk does not hold it")
def a_leader_sends_what_is_not_on_its_disk() -> None:
    checker, node = raft(0)
    node = checker.world.nodes["m0"]
    node.core = member(RaftReplica)
    checker.spoke(node, "m2", leads(0, b"one"))


@fires("raft-elections: m2 acknowledges another entry 1 of term 4")
def a_term_has_two_entries_of_one_index() -> None:
    checker, _ = raft(9)
    for sender, what in ((1, "batch"), (2, "other")):
        node = checker.world.nodes[f"m{sender}"]
        node.disk.states[RAFT_TERM] = StateRecord(RAFT_TERM, canonical.encode((0, 9)))
        checker.spoke(node, "m0", checker.world.sign(m.Commit(0, sender, 4, 1, word(what))))


@fires("raft-elections: m1 still leads term 0, and no quorum answers")
def a_leader_that_nobody_answers_leads_on() -> None:
    checker, node = raft(0)
    checker.world.time = 20 * SECOND
    node.core.state.now = Now(20 * SECOND, 0)
    checker.turning(node)


@fires("proposer-time: m0 proposes 7 at a time that no 2 members showed: [5000000]")
def a_leader_proposes_an_hour_of_its_own() -> None:
    world = world_of(5, mode=Mode.RAFT)
    node = world.nodes["m0"]
    node.core = member(RaftReplica)
    node.core.state.executor = SimpleNamespace(timestamp=1_000_000)
    node.core.state.is_primary = True
    node.goes_by = lambda: Now(SECOND, 5 * SECOND)
    record = SlotRecord(0, 0, 7, "append", (), canonical.encode(m.Batch(0, 5_000_000, (b"request",))))
    ProposerTime(world).persisted(node, [record])


@fires("held-time: m1 blames the primary of view 0 for its time; 0 clocks agree")
def a_member_blames_a_primary_for_an_idle_log() -> None:
    world = world_of()
    node = world.nodes["m1"]
    node.core = member(Replica)
    HeldTime(world).noticed(node, Note("suspected", {"view": 0, "reason": HOLDS_TIME}))


@fires("held-time: log time is held back to 5000000, and 3 clocks are ahead of it")
def a_primary_that_holds_time_back_stays() -> None:
    world = world_of()
    checker = HeldTime(world)
    for node in world.nodes.values():
        node.core, node.host = member(Replica), object()
        node.goes_by = lambda: Now(0, 100 * SECOND)
    for number in range(20):
        world.time = 2 * number * SECOND
        entry = m.Entry(0, number + 1, bytes(32), bytes(32), 5_000_000, bytes(32))
        checker.noticed(world.nodes["m1"], Executed(entry, bytes(32), (), 0))


@fires("own-clocks: m1 follows a step of its clock by 3600000000000 ns; 0 others agree")
def a_member_follows_a_step_that_nobody_confirms() -> None:
    world = world_of()
    checker, node = OwnClocks(world), world.nodes["m1"]
    node.host = object()
    for ahead in (0, 3_600 * SECOND):
        for each in world.nodes.values():
            each.clock = SimpleNamespace(now=lambda: Now(0, 0))
        node.goes_by = lambda ahead=ahead: Now(0, ahead)
        checker.turning(node)


# --- what a real log and its proofs say --------------------------------------------------------------


@cache
def cluster() -> Cluster:
    """Twelve tickets were issued, a batch each."""
    cluster = make(1, gateways=1)
    gateway = cluster.gateways[0]
    for number in range(12):
        until = gateway.clock.now().wall // 1_000 + 10_000_000
        said = {"actor": "anna", "entry": "r0", "valid_until": until}
        gateway.ask([build(Issue(), ticket=f"t{number}", **said)])
        cluster.world.run_for(20 * MILLISECOND)
    return cluster


def read_on(**fields: Any) -> None:
    """The log's third entry with these fields is read after the first two."""
    log = [record for record in cluster().world.nodes["r0"].disk.log if record is not None]
    history = History(cluster().world, cluster().keys)
    node: Any = SimpleNamespace(name="r0", honest=True, membership=cluster().world.epochs[0])
    third = msgspec.structs.replace(log[2].entry, **fields)
    history.persisted(node, [*log[:2], EntryRecord(third, b"", log[2].body, ())])


@fires("history: the results of 3 are others")
def the_log_names_other_results() -> None:
    read_on(results_root=word("results"))


@fires("history: the effective timestamp of 3 is wrong (R3)")
def the_log_names_another_time() -> None:
    read_on(timestamp=1)


@fires("history: 3 is void: epoch 1 ended at 0 (R35)")
def an_entry_is_of_an_epoch_that_is_over() -> None:
    read_on(epoch=1)


def answered(**said: Any) -> Exports:
    """A checker that was told of the first call's answer, with these fields changed."""
    checker, (gateway,) = Exports(cluster().world, cluster().history), cluster().gateways
    first = gateway.requests[0]
    assert first.results is not None
    result = msgspec.structs.replace(first.results[0], **said)
    checker.answered(gateway, asked((first.operations[0], result)))
    return checker


@fires(
    "exports: the certificate of (2, 0) is of ('issue', 'default', 't0', 'ok'), "
    "a client was told ('issue', 'default', 't0', 'ticket_exists')"
)
def a_certificate_says_otherwise_than_the_answer() -> None:
    answered(code="ticket_exists").finish()


@fires("exports: a certificate of (2, 0) with a signature fewer is believed")
def a_verifier_believes_what_it_believed_before() -> None:
    real, first = exports.verify, []

    def believes(certificate: Any, chain: Any) -> Any:
        first.append(first[0] if first else real(certificate, chain))
        return first[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "verify", believes)
        answered().finish()


@fires("reads: r1 on t11 at 10: proved is another state than the log's")
def a_read_proves_another_state() -> None:
    checker = Reads(cluster().world, cluster().history)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads, "proved_ticket", lambda *_asked: (0, None))
        for _ in range(24):
            checker.noticed(cluster().world.nodes["r1"], Note("checkpoint_stable", {}))


@table("history, sentence", FIRES, count=55, ids=[history.__name__ for history, _ in FIRES])
def test_a_checker_names_the_promise_that_a_history_breaks(
    history: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(Violation) as violation:
        history()
    assert str(violation.value) == sentence


def test_every_checker_is_shown_to_fire() -> None:
    files = Path(checkers.__file__).parent.glob("*.py")
    names = {name for path in files for name in re.findall(r'^    name = "(.+)"$', path.read_text(), re.M)}
    assert {sentence.partition(":")[0] for _, sentence in FIRES} | SHOWN_ELSEWHERE == names
