"""One question per file; all checkers run after each event, incrementally (R39)."""

from __future__ import annotations

from dtvn.protocol.wire.door import Keys
from simulator.checkers.admission import Admission
from simulator.checkers.agreement import Agreement
from simulator.checkers.base import Checker
from simulator.checkers.bounds import Bounds
from simulator.checkers.clock import Clock
from simulator.checkers.composure import Composure
from simulator.checkers.durability import Durability
from simulator.checkers.exports import Exports
from simulator.checkers.forensics import Forensics
from simulator.checkers.franchise import Franchise
from simulator.checkers.history import History
from simulator.checkers.learner import Learners
from simulator.checkers.linearizable import Linearizable
from simulator.checkers.low_mark import LowMark
from simulator.checkers.office import Office
from simulator.checkers.own_writes import OwnWrites
from simulator.checkers.proofs import Proofs
from simulator.checkers.reads import Reads
from simulator.checkers.rest import Rest
from simulator.checkers.roots import StateRoots
from simulator.checkers.smallness import Smallness
from simulator.checkers.speech import Speech
from simulator.checkers.standstill import Standstill
from simulator.checkers.statements import Statements
from simulator.checkers.succession import Succession
from simulator.checkers.validity import Validity
from simulator.world import World

__all__ = ["Checker", "Durability", "History", "Linearizable", "all_checkers"]


def all_checkers(world: World, keys: Keys, history: History, durability: Durability) -> list[Checker]:
    """Every checker, with the history that others read first. Beyond f liars hardly anything is promised."""
    statements = Statements(world, keys)
    standstill = Standstill(world, statements)
    if world.settings.beyond:
        return [standstill]
    return [
        history,
        Agreement(world),
        Admission(world, history),
        durability,
        Speech(world),
        Franchise(world),
        LowMark(world, statements),
        StateRoots(world, history),
        Learners(world),
        Composure(world),
        Clock(world),
        Validity(world, history),
        Proofs(world, statements),
        Bounds(world),
        Forensics(world, statements),
        Rest(world),
        Office(world),
        Succession(world, statements, history),
        Smallness(world, history),
        Exports(world, history),
        Reads(world, history),
        OwnWrites(world),
        standstill,
    ]
