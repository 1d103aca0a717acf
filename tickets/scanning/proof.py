"""Proves from the gates' record alone that each ticket admitted exactly as many persons as it is for.

A gate opens when a scan is answered 200. So among all scans of a ticket (a scan is one nonce, however often
it had to be sent) exactly one for each of its persons must have been answered 200, and every other one 409
"already consumed". Anything else fails the proof: an open gate too many or too few, a scan that was never
decided, an answer that a first scan cannot get. Codes that were said before to be refused must be refused
for that reason, and are not counted; a ticket whose window begins or ends meanwhile is judged by the scans
inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dtvn.machine.reasons import ALREADY_CONSUMED, NO_LONGER_VALID, NOT_YET_VALID, OK
from tickets.scanning.plan import ONE_EACH, Scan

NOTHING_FORETOLD: Mapping[str, str] = {}
WINDOW = frozenset({NOT_YET_VALID, NO_LONGER_VALID})
"""Reasons that pass by themselves."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The recorded result of one scan."""

    scan: Scan
    code: str
    """"ok", the reason of the refusal, or "" if it was never decided."""
    sequence: int
    """Sequence in the log; 0 if unknown."""
    attempts: int
    """Number of times the scan was sent."""
    latency: float
    """Seconds from the first attempt to the decision."""
    remark: str = ""
    """The last problem, if the scan was never decided."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The conclusion from the record. No `faults` means: proved."""

    tickets: int
    scans: int
    admitted: int
    """Tickets admitted exactly once, or once for each person."""
    foretold: int
    """Tickets refused at each scan, for the reason that was said before."""
    refused: int
    """Scans refused because the ticket had been consumed."""
    faults: tuple[str, ...]
    """One sentence per ticket for which the proof fails."""


def prove(
    planned: Sequence[Scan],
    record: Iterable[Outcome],
    foretold: Mapping[str, str] = NOTHING_FORETOLD,
    *,
    again: str = ALREADY_CONSUMED,
    persons: Mapping[str, int] = ONE_EACH,
) -> Verdict:
    """Compare the record of a run with its plan. `foretold`: ticket id -> the reason why its
    scans are refused; `again`: why a further scan of a ticket is; `persons`: ticket id -> how many
    it admits, if not one. Pure."""
    by_ticket: dict[str, list[Outcome]] = {scan.ticket_id: [] for scan in planned}
    due = {scan.nonce for scan in planned}
    faults: list[str] = []
    refused = 0
    for outcome in record:
        if outcome.scan.nonce not in due:
            faults.append(
                f"{outcome.scan.ticket_id}: scan {outcome.scan.nonce} was not planned, or is recorded twice"
            )
        due.discard(outcome.scan.nonce)
        by_ticket.setdefault(outcome.scan.ticket_id, []).append(outcome)
        said = foretold.get(outcome.scan.ticket_id)
        refused += outcome.code == again != said
    missing = {scan.ticket_id for scan in planned if scan.nonce in due}
    admitted = shut = 0
    for ticket_id, outcomes in by_ticket.items():
        said = foretold.get(ticket_id, "")
        rest = [outcome for outcome in outcomes if not said or outcome.code != said]
        as_said = bool(outcomes) and not rest and ticket_id not in missing
        guests = persons.get(ticket_id, 1)
        fault = "" if as_said else _fault(rest, again, guests, scan_missing=ticket_id in missing)
        if said and not (fault or as_said or said in WINDOW):
            fault = f"{said} was foretold, but it was admitted"
        if fault:
            faults.append(f"{ticket_id}: {fault}")
        elif as_said:
            shut += 1
        else:
            admitted += 1
    return Verdict(
        tickets=len(by_ticket),
        scans=len(planned),
        admitted=admitted,
        foretold=shut,
        refused=refused,
        faults=tuple(faults),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed (nearest rank); 0.0 if there are no values."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _fault(outcomes: Sequence[Outcome], again: str, guests: int, *, scan_missing: bool) -> str:
    """Why these outcomes do not prove one admission of each guest, "" when they do."""
    done = "admitted" if again == ALREADY_CONSUMED else "let out"
    opened = [outcome for outcome in outcomes if outcome.code == OK]
    if len(opened) > guests:
        gates = ", ".join(f"{outcome.scan.gate} at sequence {outcome.sequence}" for outcome in opened)
        return f"{done} {len(opened)} times ({gates})"
    if undecided := [outcome for outcome in outcomes if not outcome.code]:
        first = undecided[0]
        return f"a scan at {first.scan.gate} was never decided ({first.remark or 'no answer'})"
    if scan_missing:
        return "a planned scan is not in the record"
    if strange := [outcome for outcome in outcomes if outcome.code not in (OK, again)]:
        return f"refused with {strange[0].code} at {strange[0].scan.gate}"
    if not opened:
        before = "it had been consumed" if again == ALREADY_CONSUMED else "nobody was inside"
        return f"never {done}: {before} before this run"
    if len(opened) < guests:
        return f"{done} {len(opened)} times, and is for {guests} persons"
    return ""
