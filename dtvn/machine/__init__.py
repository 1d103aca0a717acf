"""The ticket machine: what a cluster of validators agrees on (pure; docs/understand/protocol/tickets.md)."""

from dtvn.machine.application import TicketApplication
from dtvn.machine.commands import (
    AddPrincipal,
    Admit,
    Barrier,
    Command,
    CommandError,
    Consume,
    Dispute,
    Issue,
    LimitPrincipal,
    OpenSession,
    Reconfigure,
    Resolve,
    RevokePrincipal,
    RotatePrincipal,
    Seed,
    Validate,
    build,
    operation_digest,
)
from dtvn.machine.reasons import REASONS, OutcomeReason
from dtvn.machine.ticket import TicketState, read_state, seeded_count
from dtvn.machine.transitions import NAMES, State

__all__ = [
    "NAMES",
    "REASONS",
    "AddPrincipal",
    "Admit",
    "Barrier",
    "Command",
    "CommandError",
    "Consume",
    "Dispute",
    "Issue",
    "OpenSession",
    "OutcomeReason",
    "Reconfigure",
    "Resolve",
    "LimitPrincipal",
    "RevokePrincipal",
    "RotatePrincipal",
    "Seed",
    "State",
    "TicketApplication",
    "TicketState",
    "Validate",
    "build",
    "operation_digest",
    "read_state",
    "seeded_count",
]
