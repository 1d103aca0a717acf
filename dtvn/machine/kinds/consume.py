"""consume: a validated ticket is admitted at a gate."""

from __future__ import annotations

from dtvn.machine.fields import Command, Name
from dtvn.machine.kinds.kind import Kind
from dtvn.machine.kinds.lifecycle import move


class Consume(Command, frozen=True):
    """VALIDATED to CONSUMED at a gate."""

    gate: Name = ""
    device: Name = ""


KIND = Kind(
    name="consume",
    command=Consume,
    rule=move,
    capability="gate",
    event_type="ticket_consumed",
)
