"""issue: a ticket is created."""

from __future__ import annotations

import itertools
import unicodedata

from dtvn.machine import reasons
from dtvn.machine.context import Context, present_state
from dtvn.machine.fields import CommandError, is_text
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.registry import TICKETS_MAX
from dtvn.machine.terms import FirstTerms
from dtvn.machine.ticket import Ticket
from dtvn.machine.transitions import State
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation


class Issue(FirstTerms, frozen=True):
    """Create a ticket with these terms."""


def check(issue: Issue) -> None:
    """Window, commitment and metadata."""
    if issue.commitment and len(issue.commitment) != 32:
        raise CommandError("commitment: 32 bytes or none")
    if issue.not_after and issue.not_after < issue.not_before:
        raise CommandError("not_after: lies before not_before")
    keys = [key for key, _ in issue.metadata]
    if any(left >= right for left, right in itertools.pairwise(keys)):
        raise CommandError("metadata: keys must ascend, each once")
    if not all(is_text(text) for pair in issue.metadata for text in pair):
        raise CommandError("metadata: holds a control character")


def compose(issue: Issue) -> dict[str, object]:
    """Metadata in normal form C, sorted."""
    pairs = (tuple(unicodedata.normalize("NFC", text) for text in pair) for pair in issue.metadata)
    return {"metadata": tuple(sorted(pairs))}


def rule(at: Context, operation: Operation, command: Issue, ticket: Ticket | None) -> Result:
    """Create the ticket, unless one has its name."""
    issued = operation.payload or canonical.encode_trimmed(command)
    if ticket is not None:
        if not at.stands(operation, ticket):
            return reasons.TICKET_EXISTS, ticket.state
        same = present_state(ticket).operation == "issue" and ticket.issued == issued
        return reasons.OK if same else reasons.NONCE_REUSED, ticket.state
    if len(at.registry) >= TICKETS_MAX:
        return reasons.FULL, b""
    at.count(operation)
    state = at.state(operation, operation.ticket, State.ISSUED)
    at.registry.create(operation.event, operation.ticket, state, issued, command)
    return reasons.OK, state


KIND = Kind(
    name="issue",
    command=Issue,
    rule=rule,
    capability="issue",
    check=check,
    compose=compose,
    event_type="ticket_issued",
    plain=False,
)
