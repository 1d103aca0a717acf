"""What the command `scan` prints, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from dtvn.machine.reasons import OK, REASONS
from dtvn.wording import counted
from tickets.importing import ImportPlan
from tickets.scanning.foretelling import Foretold, windows_over
from tickets.scanning.plan import Scan
from tickets.scanning.proof import Outcome, Verdict, percentile

SHOWN_MAX = 20


def foretold_object(event: str, plan: ImportPlan, foretold: Sequence[Foretold]) -> dict[str, Any]:
    """What would be answered now, as JSON. Tickets are named by id and row, never by code."""
    return {
        "event": event,
        "codes": len(foretold),
        "answers": dict(Counter(one.network for one in foretold).most_common()),
        "left_out": len(plan.left_out),
        "wrong": len(plan.wrong),
        "differing": [
            {
                "ticket_id": one.ticket.ticket_id,
                "row": one.ticket.row,
                "file": one.file,
                "network": one.network,
                "more": one.more,
                "fault": one.fault,
            }
            for one in foretold
            if one.network != one.file
        ],
        "faults": sum(one.fault for one in foretold),
        "windows_over": windows_over(foretold),
    }


def foretold_lines(event: str, plan: ImportPlan, foretold: Sequence[Foretold]) -> Iterator[str]:
    """The same, in sentences."""
    yield f"Event {event}: {counted(len(foretold), 'code')}, if they were scanned now:"
    for reason, number in Counter(one.network for one in foretold).most_common():
        details = dict.fromkeys(one.more for one in foretold if one.network == reason and one.more)
        shown = f" {'; '.join(list(details)[:3])}{' ...' if len(details) > 3 else ''}" if details else ""
        said = "admitted" if reason == OK else f"refused, {reason}: {REASONS[reason].sentence}"
        yield f"  {number:,} {said}{shown}"
    for rows, kind in ((plan.left_out, "left out"), (plan.wrong, "wrong")):
        if rows:
            yield f"{counted(len(rows), 'row')} of the file {kind}: without a ticket, the code is not found."
    differing = [one for one in foretold if one.network != one.file]
    if differing:
        yield "Otherwise than the file says:"
    for one in differing[:SHOWN_MAX]:
        more = f" ({one.more})" if one.more else ""
        yield f"  row {one.ticket.row}, ticket {one.ticket.ticket_id}: {one.network}{more}, not {one.file}"
    if len(differing) > SHOWN_MAX:
        yield f"  and {len(differing) - SHOWN_MAX:,} more (--json shows all)"
    if over := windows_over(foretold):
        yield f"NOBODY of the file would be admitted: the windows are over ({counted(over, 'code')})."


def result_object(verdict: Verdict, record: Sequence[Outcome], elapsed: float) -> dict[str, Any]:
    """The result of a run, as JSON. `elapsed`: its seconds."""
    latencies = [outcome.latency * 1_000 for outcome in record]
    return {
        "proved": not verdict.faults,
        "tickets": verdict.tickets,
        "scans": verdict.scans,
        "admitted_once": verdict.admitted,
        "refused_as_foretold": verdict.foretold,
        "refused_again": verdict.refused,
        "sent_again": sum(outcome.attempts - 1 for outcome in record),
        "seconds": round(elapsed, 3),
        "scans_per_second": round(len(record) / elapsed, 1),
        "latency_ms": {f"p{p}": round(percentile(latencies, p / 100), 1) for p in (50, 95, 99)}
        | {"max": round(max(latencies, default=0.0), 1)},
        "faults": list(verdict.faults),
    }


def result_lines(result: dict[str, Any], done: str = "admitted") -> Iterator[str]:
    """The same, in sentences. `done`: what the gates did with a ticket."""
    latency, shut = result["latency_ms"], result["refused_as_foretold"]
    yield (
        f"{counted(result['scans'], 'scan')} of {counted(result['tickets'], 'ticket')} "
        f"at {counted(result['gates'], 'gate')} in "
        f"{result['seconds']:.1f} s: {result['scans_per_second']:,.0f} per second."
    )
    yield (
        f"Scan to answer: p50 {latency['p50']:.0f} ms, p95 {latency['p95']:.0f} ms, "
        f"p99 {latency['p99']:.0f} ms, slowest {latency['max']:.0f} ms."
    )
    yield (
        f"{result['admitted_once']:,} {done} once, {result['refused_again']:,} refused when shown "
        f"again; {counted(result['sent_again'], 'scan')} repeated after errors (seed {result['seed']})."
    )
    faults = result["faults"]
    if faults:
        yield f"NOT proved for {counted(len(faults), 'ticket')}:"
        yield from (f"  {fault}" for fault in faults[:SHOWN_MAX])
        if len(faults) > SHOWN_MAX:
            yield f"  and {len(faults) - SHOWN_MAX:,} more (--json shows all)"
    elif not shut:
        yield f"Proved: each ticket was {done} exactly once."
    else:
        yield (
            f"Proved: {counted(result['admitted_once'], 'ticket')} {done} exactly once, "
            f"{shut:,} refused as foretold."
        )


def record_line(outcome: Outcome) -> bytes:
    """One scan as a line of --record. The code is not in it."""
    scan: Scan = outcome.scan
    line = {
        "ticket_id": scan.ticket_id,
        "gate": scan.gate,
        "nonce": scan.nonce,
        "code": outcome.code,
        "sequence": outcome.sequence,
        "attempts": outcome.attempts,
        "latency_ms": round(outcome.latency * 1_000, 2),
        "remark": outcome.remark,
    }
    return msgspec.json.encode(line) + b"\n"
