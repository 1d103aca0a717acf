"""One question per file; all checkers run after each event, incrementally (R39)."""

from __future__ import annotations

from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import Keys
from simulator.checkers.ages import Ages
from simulator.checkers.agreement import Agreement
from simulator.checkers.as_the_model import AsTheModel
from simulator.checkers.at_most_once import AtMostOnce
from simulator.checkers.base import Checker
from simulator.checkers.bounds import Bounds
from simulator.checkers.certificates import Certificates
from simulator.checkers.counted import Counted
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
from simulator.checkers.low_watermark import LowWatermark
from simulator.checkers.no_spurious_view_change import NoSpuriousViewChange
from simulator.checkers.own_clocks import OwnClocks
from simulator.checkers.proposal_time import ProposalTime
from simulator.checkers.proposer_time import ProposerTime
from simulator.checkers.quiescence import Quiescence
from simulator.checkers.raft_elections import RaftElections
from simulator.checkers.read_your_writes import ReadYourWrites
from simulator.checkers.reads import Reads
from simulator.checkers.repeats import Repeats
from simulator.checkers.slow_primary_deposed import SlowPrimaryDeposed
from simulator.checkers.state_roots import StateRoots
from simulator.checkers.statements import Statements
from simulator.checkers.stops_on_fork import StopsOnFork
from simulator.checkers.validity import Validity
from simulator.checkers.voting_rights import VotingRights
from simulator.world import World

__all__ = ["Checker", "Durability", "History", "Linearizable", "all_checkers"]


def all_checkers(world: World, keys: Keys, history: History, durability: Durability) -> list[Checker]:
    """Every checker, with the history that others read first. Beyond f liars hardly anything is promised."""
    statements = Statements(world, keys)
    stops_on_fork = StopsOnFork(world, statements)
    if world.settings.beyond:
        return [stops_on_fork]
    model = AsTheModel(world, history)
    ordering: list[Checker] = [NoSpuriousViewChange(world), ProposalTime(world)]
    ordering += [EvidenceKept(world, statements), SlowPrimaryDeposed(world), HeldTime(world)]
    if world.settings.mode is Mode.RAFT:
        ordering = [RaftElections(world)]
    return [
        history,
        Agreement(world),
        model,
        AtMostOnce(world, history, model),
        durability,
        DurableBeforeSend(world),
        VotingRights(world),
        LowWatermark(world, statements),
        StateRoots(world, history),
        Learners(world),
        Ages(world),
        Validity(world, history),
        Certificates(world, statements),
        Bounds(world),
        *ordering,
        ProposerTime(world),
        OwnClocks(world),
        Quiescence(world),
        EpochChanges(world, statements, history),
        Repeats(world, history),
        FaultToleranceKept(world, history),
        Exports(world, history),
        Reads(world, history),
        ReadYourWrites(world),
        stops_on_fork,
        Counted(world),
    ]
