"""How a host ends: one exception, and what may be its cause."""

from __future__ import annotations

from dtvn.protocol.consensus.effects import Successor


class TurnLost(Exception):
    """This host has ended and must not be used again. __cause__ names the reason: a turn could not be made
    durable or broke an invariant, or it is one of EpochOver, Halted and Installed."""


class EpochOver(Exception):
    """Cause of a TurnLost without a failure: a host of the next epoch continues from the ledger (R35)."""

    def __init__(self, successor: Successor) -> None:
        super().__init__(successor.membership.epoch)
        self.successor = successor


class Halted(Exception):
    """Cause of a TurnLost after which this node must neither continue nor be rebuilt: the ledger holds
    certificates that exclude each other. `stand_by` still answers queries about the node."""


class Installed(Exception):
    """Cause of a TurnLost without a failure: a new host continues from the snapshot in the ledger."""
