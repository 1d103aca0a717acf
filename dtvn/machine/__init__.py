"""The ticket machine: what a cluster of validators agrees on (pure; docs/understand/protocol/tickets.md)."""

from dtvn.machine.administration import shown_principal
from dtvn.machine.application import TicketApplication
from dtvn.machine.commands import (
    CAPABILITY,
    AddPrincipal,
    Admit,
    Barrier,
    Command,
    CommandError,
    Consume,
    Dispute,
    GrantPrincipal,
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
from dtvn.machine.granting import GrantStatement, statement_bytes
from dtvn.machine.principals import Principals, RetiredKey
from dtvn.machine.reasons import REASONS, OutcomeReason
from dtvn.machine.recover_operation import operation_for
from dtvn.machine.seed import SEED_COUNT, SEED_TICKETS
from dtvn.machine.snapshot import Proof, prove_ticket
from dtvn.machine.ticket import TicketState, name_in_bytes, read_head, read_packed, read_state, seeded_count
from dtvn.machine.transitions import NAMES, TRANSITIONS, State, state_of

__all__ = [
    "CAPABILITY",
    "NAMES",
    "REASONS",
    "SEED_COUNT",
    "SEED_TICKETS",
    "TRANSITIONS",
    "AddPrincipal",
    "Admit",
    "Barrier",
    "Command",
    "CommandError",
    "Consume",
    "Dispute",
    "GrantPrincipal",
    "GrantStatement",
    "Issue",
    "LimitPrincipal",
    "OpenSession",
    "OutcomeReason",
    "Principals",
    "Proof",
    "Reconfigure",
    "Resolve",
    "RetiredKey",
    "RevokePrincipal",
    "RotatePrincipal",
    "Seed",
    "State",
    "TicketApplication",
    "TicketState",
    "Validate",
    "build",
    "name_in_bytes",
    "operation_digest",
    "operation_for",
    "prove_ticket",
    "read_head",
    "read_packed",
    "read_state",
    "seeded_count",
    "state_of",
    "shown_principal",
    "statement_bytes",
]
