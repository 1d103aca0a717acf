"""The ticket machine: what a cluster of validators agrees on (pure; docs/understand/protocol/tickets.md)."""

from dtvn.machine.application import TicketApplication
from dtvn.machine.codes import CodeError, code_digest, default_salt, normalised
from dtvn.machine.commands import build, operation_digest
from dtvn.machine.fields import Command, CommandError
from dtvn.machine.granting import GrantStatement, statement_bytes
from dtvn.machine.kinds import CAPABILITY
from dtvn.machine.kinds.acquire import Acquire
from dtvn.machine.kinds.add_principal import AddPrincipal
from dtvn.machine.kinds.admit import Admit
from dtvn.machine.kinds.annul import Annul
from dtvn.machine.kinds.barrier import Barrier
from dtvn.machine.kinds.block import Block
from dtvn.machine.kinds.cancel_lock import CancelLock
from dtvn.machine.kinds.change import ChangeTicket
from dtvn.machine.kinds.consume import Consume
from dtvn.machine.kinds.dispute import Dispute
from dtvn.machine.kinds.force import Force
from dtvn.machine.kinds.grant import GrantPrincipal
from dtvn.machine.kinds.import_entry import ImportEntry
from dtvn.machine.kinds.issue import Issue
from dtvn.machine.kinds.limit_principal import LimitPrincipal
from dtvn.machine.kinds.lock import Lock
from dtvn.machine.kinds.open_session import OpenSession
from dtvn.machine.kinds.reconfigure import Reconfigure
from dtvn.machine.kinds.record import Record
from dtvn.machine.kinds.release import Release
from dtvn.machine.kinds.renew import Renew
from dtvn.machine.kinds.replace import Replace
from dtvn.machine.kinds.resolve import Resolve
from dtvn.machine.kinds.revoke_principal import RevokePrincipal
from dtvn.machine.kinds.rotate_principal import RotatePrincipal
from dtvn.machine.kinds.seed import Seed
from dtvn.machine.kinds.set_event import SetEvent
from dtvn.machine.kinds.unblock import Unblock
from dtvn.machine.kinds.unlock import Unlock
from dtvn.machine.kinds.validate import Validate, ValidateBody
from dtvn.machine.lists import EventList
from dtvn.machine.naming import ticket_of
from dtvn.machine.principals import Principals, RetiredKey, shown_principal
from dtvn.machine.reasons import REASONS, OutcomeReason
from dtvn.machine.recover_operation import operation_for
from dtvn.machine.rows import EventRow
from dtvn.machine.seed import SEED_COUNT, SEED_TICKETS
from dtvn.machine.snapshot import Proof, prove_ticket
from dtvn.machine.terms import Terms, terms_bytes
from dtvn.machine.ticket import (
    ANSWERED_HEAD,
    ANSWERED_HEADS,
    LISTED_HEAD,
    AnsweredState,
    ListedState,
    TicketState,
    answered,
    is_upheld,
    parse_row,
    read_head,
    read_packed,
    read_row,
    read_state,
    read_terms,
    seeded_count,
)
from dtvn.machine.transitions import NAMES, TRANSITIONS, State, kinds_to, public_counts, state_of

__all__ = [
    "ANSWERED_HEAD",
    "ANSWERED_HEADS",
    "Annul",
    "EventList",
    "Force",
    "LISTED_HEAD",
    "ListedState",
    "answered",
    "parse_row",
    "read_row",
    "AnsweredState",
    "Block",
    "ChangeTicket",
    "CodeError",
    "EventRow",
    "ImportEntry",
    "Replace",
    "SetEvent",
    "Terms",
    "Unblock",
    "code_digest",
    "terms_bytes",
    "default_salt",
    "normalised",
    "read_terms",
    "ticket_of",
    "CAPABILITY",
    "NAMES",
    "REASONS",
    "SEED_COUNT",
    "SEED_TICKETS",
    "TRANSITIONS",
    "Acquire",
    "AddPrincipal",
    "Admit",
    "Barrier",
    "CancelLock",
    "Command",
    "CommandError",
    "Consume",
    "Dispute",
    "GrantPrincipal",
    "GrantStatement",
    "Issue",
    "LimitPrincipal",
    "Lock",
    "OpenSession",
    "OutcomeReason",
    "Principals",
    "Proof",
    "Reconfigure",
    "Record",
    "Release",
    "Renew",
    "Resolve",
    "RetiredKey",
    "RevokePrincipal",
    "RotatePrincipal",
    "Seed",
    "State",
    "TicketApplication",
    "TicketState",
    "Unlock",
    "Validate",
    "ValidateBody",
    "build",
    "operation_digest",
    "operation_for",
    "prove_ticket",
    "read_head",
    "read_packed",
    "is_upheld",
    "kinds_to",
    "public_counts",
    "read_state",
    "seeded_count",
    "state_of",
    "shown_principal",
    "statement_bytes",
]
