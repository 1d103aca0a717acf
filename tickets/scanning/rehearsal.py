"""What a rehearsal needs besides a plan: tickets of its own, and how long the scans will take."""

from __future__ import annotations

from datetime import date

from dtvn.machine.fields import REHEARSAL, REHEARSAL_TICKET
from dtvn.wording import counted
from tickets.importing.imported import ImportedTicket

REHEARSAL_CODE = "REHEARSAL/"
"""How these codes begin; no ticket id has a slash, so a code is not mistaken for one."""
MEASURED_EACH = 5
"""Scans of each gate from which their rate is measured."""


def make_tickets(count: int, *, run: str, today: date) -> list[ImportedTicket]:
    """Tickets with a code each and without a holder, of an event of their own. `run` makes them differ from
    those of other rehearsals on the same day."""
    return [
        ImportedTicket(
            row=number,
            ticket_id=f"{REHEARSAL_TICKET}{run}-{number}",
            event=f"{REHEARSAL}{today.isoformat()}",
            codes=(f"{REHEARSAL_CODE}{run}/{number}",),
        )
        for number in range(1, count + 1)
    ]


def measured_over(scans: int, gates: int) -> int:
    """Number of the first scans, from whose rate the duration of all is estimated."""
    return min(scans, MEASURED_EACH * gates)


def expectation(scans: int, gates: int, *, seconds: float) -> str:
    """A sentence with the estimated duration of `scans` at `gates`; `seconds`: duration of the first
    `measured_over`."""
    first = measured_over(scans, gates)
    whole = seconds * scans / first
    told = f"{whole / 60:.0f} min" if whole >= 120 else f"{whole:.0f} s" if whole >= 1 else "a second"
    return (
        f"{counted(scans, 'scan')} at {counted(gates, 'gate')}: about {told}, "
        f"at the rate of the first {first}: {first / max(seconds, 1e-6):,.0f} per second."
    )
