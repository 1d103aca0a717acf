"""A kind of operation in one file, as a module of dtvn/machine/kinds: somebody at the door waves to a guest.

As a plugin of pytest (`-p tests.kinds.wave`) it is in the table before the platform makes its routes.
"""

from __future__ import annotations

from dtvn.machine import bodies, reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, CommandError, Name
from dtvn.machine.kinds import register
from dtvn.machine.kinds.kind import Act, Kind, Rest, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class Wave(Command, frozen=True):
    """Changes nothing."""

    hand: Name = "right"


class WaveBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/wave."""

    hand: bodies.Name = "right"


def check(command: Wave) -> None:
    """People have two hands."""
    if command.hand not in ("left", "right"):
        raise CommandError("hand: left or right")


def rule(at: Context, operation: Operation, command: Wave, ticket: Ticket | None) -> Result:
    """Only guests with a ticket are waved to."""
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    return reasons.OK, ticket.state


register(
    Kind(
        name="wave",
        command=Wave,
        rule=rule,
        capability="gate",
        check=check,
        rest=Rest(WaveBody, "Waved", "Wave to a guest."),
        told=True,
        verb="waved to",
        acts=(Act(name="wave", past="waved to", fields={"hand": "left"}),),
        event_type="guest_waved_to",
    )
)
