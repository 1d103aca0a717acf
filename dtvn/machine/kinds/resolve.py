"""resolve: a dispute is decided."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dtvn.machine import bodies
from dtvn.machine.fields import Command
from dtvn.machine.kinds.kind import Act, Kind, Rest
from dtvn.machine.kinds.lifecycle import move


class Resolve(Command, frozen=True):
    """End a dispute: `clear` it (back to VALIDATED) or `uphold` it (DISPUTED finally)."""

    verdict: Annotated[str, msgspec.Meta(pattern=r"^(clear|uphold)\Z")]


class ResolveBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/resolve."""

    verdict: Annotated[Literal["clear", "uphold"], msgspec.Meta(description='"clear" or "uphold"')]


KIND = Kind(
    name="resolve",
    command=Resolve,
    rule=move,
    capability="operate",
    rest=Rest(
        ResolveBody,
        "Dispute resolved",
        "Resolve a dispute: back to VALIDATED, or DISPUTED permanently (`Upheld`).",
        example={"ticket_id": "T-1", "verdict": "clear"},
    ),
    verb="resolved",
    acts=(
        Act(
            name="clear",
            past="cleared",
            means="it is validated again",
            fields={"verdict": "clear"},
            outcome="dispute cleared",
        ),
        Act(
            name="uphold",
            past="upheld",
            means="it is never admitted",
            consequence="An upheld dispute is final: no gate ever admits the ticket, "
            "and nothing takes that back.",
            fields={"verdict": "uphold"},
            outcome="dispute upheld",
        ),
    ),
    event_type="ticket_resolved",
)
