"""Simulated gates: each scans one code after the other, and repeats a scan until the network has decided.

A gate that gets no answer sends the same scan again; the nonce makes that safe (R13, R14). A 504, a 503, a
broken connection or a web process that is being replaced all mean "not known yet", never "no".
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Literal

import httpx
import msgspec

from dtvn.machine.lists import MAIN_SLUG
from tickets.importing.platform import ask_until_final
from tickets.importing.until_final import Refused
from tickets.scanning.plan import Plan, Scan
from tickets.scanning.proof import Outcome

ADMIT_PATH = "/api/v1/tickets/admit"


class Admission(msgspec.Struct):
    """The members of an answer that tell a guest's outcome from a fault of the gate."""

    outcome: str = ""
    code: str = ""


class Asked(msgspec.Struct, frozen=True):
    """What the gates ask for."""

    list: str = MAIN_SLUG
    kind: Literal["entry", "exit"] = "entry"


MAIN_ENTRY = Asked()
RACE_PATIENCE = 0.25
"""Seconds that a gate waits for the other gate of a race, so that both scans are sent together."""


async def play(
    client: httpx.AsyncClient,
    plan: Plan,
    *,
    event: str,
    patience: float,
    told: Callable[[Outcome], None],
    pace: float = 0.0,
    asked: Asked = MAIN_ENTRY,
) -> list[Outcome]:
    """Scan the whole plan, all gates at once; return the record in the order of decisions.

    `patience`: seconds for which one scan is repeated; `pace`: seconds a gate waits between scans. Raises
    Refused when the platform refuses all requests.
    """
    record: list[Outcome] = []
    meetings: dict[str, asyncio.Event] = {}

    async def work(scans: tuple[Scan, ...]) -> None:
        for scan in scans:
            if scan.races:
                await _meet(meetings, scan.ticket_id)
            outcome = await _decided(client, scan, asked, event=event, patience=patience)
            record.append(outcome)
            told(outcome)
            if pace:
                await asyncio.sleep(pace)

    try:
        async with asyncio.TaskGroup() as group:
            for scans in plan.by_gate:
                group.create_task(work(scans))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return record


async def _meet(meetings: dict[str, asyncio.Event], ticket_id: str) -> None:
    """Wait until the other gate of the race has its scan ready too, at most RACE_PATIENCE."""
    if (other := meetings.get(ticket_id)) is not None:
        other.set()
        return
    arrived = meetings[ticket_id] = asyncio.Event()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(arrived.wait(), RACE_PATIENCE)


async def _decided(
    client: httpx.AsyncClient, scan: Scan, asked_for: Asked, *, event: str, patience: float
) -> Outcome:
    """Sends one scan until it is decided, each time with the same nonce."""
    body = {
        "barcode": scan.code,
        "event": event,
        "gate": scan.gate,
        "device": f"{scan.gate}-scanner",
        "nonce": scan.nonce,
        "list": asked_for.list,
        "kind": asked_for.kind,
    }
    began = time.monotonic()
    asked = await ask_until_final(client, ADMIT_PATH, body, patience=patience)
    code, sequence = _answer(asked.response) if asked.response is not None else ("", 0)
    return Outcome(
        scan=scan,
        code=code,
        sequence=sequence,
        attempts=asked.attempts,
        latency=time.monotonic() - began,
        remark=asked.trouble,
    )


def _answer(response: httpx.Response) -> tuple[str, int]:
    """(code, sequence) of a final answer; raises Refused when the gate is at fault, not the guest."""
    try:
        answer = msgspec.json.decode(response.content, type=Admission)
    except msgspec.DecodeError:
        answer = Admission()
    if answer.outcome not in ("admitted", "done", "refused"):
        raise Refused(f"the platform answered {response.status_code}: {response.text[:200]}")
    sequence = response.headers.get("X-DTVN-Sequence", "0")
    return answer.code, int(sequence) if sequence.isdigit() else 0
