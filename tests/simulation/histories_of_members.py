"""Histories in which members vote, change views, keep time, grow or lead as they must not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import RAFT_TERM, RaftReplica, Replica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import HOLDS_TIME, SILENT
from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    Executed,
    Note,
    Now,
    Reason,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.genesis.terms import Parameters
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import link_frame
from simulator.checkers.bounds import LOOK_EVERY, Bounds
from simulator.checkers.durable_before_send import DurableBeforeSend
from simulator.checkers.evidence import EvidenceKept
from simulator.checkers.held_time import HeldTime
from simulator.checkers.no_spurious_view_change import NoSpuriousViewChange
from simulator.checkers.opening_flood_borne import FLOODING, OpeningFloodBorne
from simulator.checkers.own_clocks import OwnClocks
from simulator.checkers.proposal_time import ProposalTime
from simulator.checkers.proposer_time import ProposerTime
from simulator.checkers.quiescence import TURNS_MAX, Quiescence
from simulator.checkers.raft_elections import RaftElections
from simulator.checkers.statements import Statements
from simulator.checkers.stops_on_fork import StopsOnFork
from simulator.checkers.voting_rights import VotingRights
from simulator.clock import MICROSECOND, SECOND
from simulator.seams import peer_limits
from tests.simulation.firing import (
    fires,
    signed,
    vote,
    world_of,
)
from tests.simulation.stand_ins import entry, word

OPENINGS_MAX = 4 * (peer_limits.OPENINGS_BURST + peer_limits.OPENINGS_PER_SECOND)


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
