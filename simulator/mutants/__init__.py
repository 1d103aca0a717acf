"""Planted bugs, by the part of the protocol that they break; importing the package registers them."""

from __future__ import annotations

from simulator.mutants import (
    application,
    beyond,
    durability,
    edges,
    epochs,
    ordering,
    proofs,
    statements,
    transfer,
    views,
)
from simulator.mutants.absent import NOT_PLANTED
from simulator.mutants.registry import MUTANTS, Mutant, planted

__all__ = ["MUTANTS", "NOT_PLANTED", "Mutant", "planted"]

_ = (application, beyond, durability, edges, epochs, ordering, proofs, statements, transfer, views)
