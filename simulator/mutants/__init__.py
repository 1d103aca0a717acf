"""Planted bugs, by the part of the protocol that they break; importing the package registers them."""
# ruff: noqa: F401

from __future__ import annotations

from simulator.mutants import (
    application,
    archives,
    beyond_f,
    doors,
    drawn,
    durability,
    epochs,
    event_runs,
    followers,
    gateways_and_bounds,
    lists,
    lock_queues,
    ordering,
    proofs,
    raft,
    statements,
    transfer,
    views,
    wall_clocks,
)
from simulator.mutants.registry import MUTANTS, Mutant, planted
from simulator.mutants.rules_without import NOT_PLANTED

__all__ = ["MUTANTS", "NOT_PLANTED", "Mutant", "planted"]
