"""consume: a validated ticket is admitted at a gate."""

from __future__ import annotations

from dtvn.machine import bodies
from dtvn.machine.fields import Command, Name
from dtvn.machine.kinds.kind import Kind, Rest
from dtvn.machine.kinds.lifecycle import move


class Consume(Command, frozen=True):
    """VALIDATED to CONSUMED at a gate."""

    gate: Name = ""
    device: Name = ""


class ConsumeBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/consume."""

    gate: bodies.Name = ""
    device: bodies.Name = ""


KIND = Kind(
    name="consume",
    command=Consume,
    rule=move,
    capability="gate",
    rest=Rest(
        ConsumeBody,
        "Ticket consumed successfully",
        "Consume a ticket: VALIDATED becomes CONSUMED.",
        full=True,
    ),
    told=True,
    verb="consumed",
    event_type="ticket_consumed",
)
