"""admit: a ticket is validated and consumed in one step."""

from __future__ import annotations

from dtvn.machine.fields import Command, Name
from dtvn.machine.kinds.kind import Kind
from dtvn.machine.kinds.lifecycle import move


class Admit(Command, frozen=True):
    """ISSUED or VALIDATED to CONSUMED in one step: what a gate does with one scan."""

    gate: Name = ""
    device: Name = ""


KIND = Kind(
    name="admit",
    command=Admit,
    rule=move,
    capability="gate",
    event_type="ticket_consumed",
)
