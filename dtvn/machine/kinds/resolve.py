"""resolve: a dispute is decided."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dtvn.machine import bodies
from dtvn.machine.fields import Command
from dtvn.machine.kinds.kind import Kind, Rest
from dtvn.machine.kinds.lifecycle import move


class Resolve(Command, frozen=True):
    """End a dispute: `clear` it (back to VALIDATED) or `uphold` it (DISPUTED finally)."""

    verdict: Annotated[str, msgspec.Meta(pattern="^(clear|uphold)$")]


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
        "Resolve a dispute: back to VALIDATED, or DISPUTED permanently.",
        example={"ticket_id": "T-1", "verdict": "clear"},
    ),
    event_type="ticket_resolved",
)
