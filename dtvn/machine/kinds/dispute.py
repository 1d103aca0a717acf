"""dispute: a validated ticket is stopped, until somebody decides."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine import bodies
from dtvn.machine.fields import REASON_LENGTH_MAX, Command
from dtvn.machine.kinds.kind import Act, Kind, Rest
from dtvn.machine.kinds.lifecycle import move


class Dispute(Command, frozen=True):
    """VALIDATED to DISPUTED."""

    reason: Annotated[str, msgspec.Meta(max_length=REASON_LENGTH_MAX)] = ""
    """A text for operators; the log keeps it for ever, so it must hold no personal data."""


class DisputeBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/dispute."""

    reason: bodies.Reason = ""


KIND = Kind(
    name="dispute",
    command=Dispute,
    rule=move,
    capability="operate",
    rest=Rest(
        DisputeBody,
        "Ticket disputed successfully",
        "Dispute a ticket: VALIDATED becomes DISPUTED. The log keeps the reason: no personal data.",
    ),
    told=True,
    verb="disputed",
    acts=(Act(name="dispute", past="disputed", reason=True),),
    event_type="ticket_disputed",
)
