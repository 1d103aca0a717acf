"""admit: a ticket is validated and consumed in one step."""

from __future__ import annotations

from dtvn.machine import bodies
from dtvn.machine.fields import Command, Name
from dtvn.machine.kinds.kind import Kind, Rest
from dtvn.machine.kinds.lifecycle import move


class Admit(Command, frozen=True):
    """ISSUED or VALIDATED to CONSUMED in one step: what a gate does with one scan."""

    gate: Name = ""
    device: Name = ""


class AdmitBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/admit."""

    gate: bodies.Name = ""
    device: bodies.Name = ""


KIND = Kind(
    name="admit",
    command=Admit,
    rule=move,
    capability="gate",
    rest=Rest(
        AdmitBody,
        "Admitted",
        "Admit a ticket with one scan: ISSUED or VALIDATED becomes CONSUMED.",
        example={"ticket_id": "T-1", "gate": "north", "nonce": "scan-0001"},
    ),
    told=True,
    verb="admitted",
    event_type="ticket_consumed",
)
