"""record: the next chunk of a run of agent events."""

from __future__ import annotations

from dtvn.events.judging import VoteCertificate, check_form
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, CommandError
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.fields import Hash
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.proof_errors import ProofError


class Record(Command, frozen=True):
    """Record the next chunk of a run of agent events. Run, position, verdict and the head afterwards are
    those of the certificate's vote. Its payload has some KB at most, unless many events were refused."""

    previous: Hash
    """Head of the run so far; for its first chunk, dtvn.events.judging.first_head."""
    certificate: VoteCertificate
    """Of the present epoch."""
    ends: bool = False
    """Whether this is the last chunk of the run."""


def check(command: Record) -> None:
    """The form of the certificate; execution checks whether it holds."""
    try:
        check_form(command.certificate)
    except ProofError as error:
        raise CommandError(f"certificate: {error}") from error


def rule(at: Context, operation: Operation, command: Record, ticket: Ticket | None) -> Result:
    """See Runs."""
    return at.runs.record(
        operation.event,
        command.previous,
        command.certificate,
        at.principal,
        ends=command.ends,
        place=at.place,
        timestamp=at.timestamp,
    )


KIND = Kind(
    name="record",
    command=Record,
    rule=rule,
    capability="record",
    former="operate",
    names="event",
    subject="agent events",
    check=check,
    plain=False,
)
