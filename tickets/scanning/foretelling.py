"""What the gates would answer now, as the file has it and as the network does; nobody is admitted.

The order of reasons is that of the log (machine.order_of_reasons), so a code is foretold the one reason that
its scan would be given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
import msgspec

from dtvn.machine import reasons
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.order_of_reasons import ORDER
from tickets.importing.imported import ImportedTicket
from tickets.importing.platform import ask_until_final
from tickets.importing.until_final import NetworkSilent, Refused

FIND_PATH = "/api/v1/tickets/find"
EVENT_PATH = "/api/v1/events/{}"
IN_FLIGHT = 8
"""Concurrent requests."""
DELIBERATE = frozenset({reasons.BLOCKED, reasons.REVOKED, reasons.DISPUTED})
"""Refusals that somebody ordered since the import: said, and no fault of import or network."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What decides about a code. Times are Unix seconds, 0: no bound."""

    found: bool = True
    revoked: bool = False
    blocked: bool = False
    disputed: bool = False
    not_before: int = 0
    not_after: int = 0
    """The last second in which the ticket is valid."""
    admits: bool = True
    """Whether its product is an entrance."""
    entered: bool = False
    """Whether it has no entry left on `main` now."""


REFUSES: dict[str, Callable[[Standing, int], bool]] = {
    reasons.BARCODE_NOT_FOUND: lambda one, _now: not one.found,
    reasons.REVOKED: lambda one, _now: one.revoked,
    reasons.BLOCKED: lambda one, _now: one.blocked,
    reasons.DISPUTED: lambda one, _now: one.disputed,
    reasons.NOT_YET_VALID: lambda one, now: now < one.not_before,
    reasons.NO_LONGER_VALID: lambda one, now: 0 < one.not_after < now,
    reasons.WRONG_PRODUCT: lambda one, _now: not one.admits,
    reasons.ALREADY_CONSUMED: lambda one, _now: one.entered,
}
"""Reason of a refusal -> whether it holds at a time."""


class Foretold(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan of a code would be answered."""

    ticket: ImportedTicket
    code: str
    """The text that is scanned."""
    file: str
    """"ok" or the reason, as the file has it."""
    network: str
    """The same, as the network has it: what a gate would be told."""
    more: str = ""
    """What belongs to the network's reason, such as that of a block."""

    @property
    def fault(self) -> bool:
        """Whether the network differs from the file, and nobody ordered that."""
        return self.network not in (self.file, *DELIBERATE)


def printed(ticket: ImportedTicket) -> tuple[str, ...]:
    """What a scanner reads of a ticket: its codes; its id where ids are codes."""
    return ticket.codes or (ticket.ticket_id,)


def reason_of(standing: Standing, now: int) -> str:
    """ "ok", or the reason why a scan at `now` (Unix seconds) is refused. Pure."""
    for given, _check, _kinds in ORDER:
        for reason in given:
            if reason in REFUSES and REFUSES[reason](standing, now):
                return reason
    return reasons.OK


def windows_over(foretold: Sequence[Foretold]) -> int:
    """Number of codes whose windows are over, if nobody is admitted now or in a window to come; else 0."""
    told = [one.network for one in foretold]
    opens = {reasons.OK, reasons.NOT_YET_VALID}.intersection(told)
    return 0 if opens else told.count(reasons.NO_LONGER_VALID)


def by_file(ticket: ImportedTicket, products: Mapping[str, bool]) -> Standing:
    """A ticket as its file has it; `products`: name -> whether it is an entrance."""
    return Standing(
        blocked=ticket.blocked,
        not_before=ticket.not_before // MICROSECONDS,
        not_after=ticket.not_after // MICROSECONDS,
        admits=products.get(ticket.product, True),
        entered=ticket.entered and ticket.entries_made >= ticket.entries,
    )


def by_network(found: Mapping[str, Any] | None, admits: Mapping[str, bool] | None) -> Standing:
    """A ticket as POST /tickets/find answers it (None: not found). `admits`: product -> whether it is an
    entrance; None: the event was not created, and all are."""
    if found is None:
        return Standing(found=False)
    product = found["product"]
    return Standing(
        revoked=not found["barcode_valid"],
        blocked=bool(found["blocked"]),
        disputed=found["State"] == "DISPUTED",
        not_before=_seconds(found["valid_from"]),
        not_after=_seconds(found["valid_until"]),
        admits=admits is None or not product or admits.get(product, False),
        entered=found["entries_allowed"] is not None and found["entries_used"] >= found["entries_allowed"],
    )


async def foretell(
    client: httpx.AsyncClient,
    event: str,
    tickets: Sequence[ImportedTicket],
    products: Mapping[str, bool],
    *,
    now: int,
    patience: float,
    told: Callable[[], None],
) -> list[Foretold]:
    """Ask for every code of the tickets; `told()` after each. Nothing is ordered. Raises NetworkSilent if one
    gets no answer for `patience` seconds, and Refused."""
    admits = await _admits(client, event, patience)
    codes = iter(enumerate((ticket, code) for ticket in tickets for code in printed(ticket)))
    found: dict[int, Foretold] = {}

    async def work() -> None:
        for number, (ticket, code) in codes:
            answer = await _find(client, event, code, patience)
            found[number] = Foretold(
                ticket=ticket,
                code=code,
                file=reason_of(by_file(ticket, products), now),
                network=(reason := reason_of(by_network(answer.get("data"), admits), now)),
                more=_more(reason, answer),
            )
            told()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [found[number] for number in sorted(found)]


async def _admits(client: httpx.AsyncClient, event: str, patience: float) -> dict[str, bool] | None:
    """Product -> whether it is an entrance; None for an event that was not created."""
    status, answer = await _answer(client, "GET", EVENT_PATH.format(event), None, patience)
    if status == 404:
        raise Refused(f"the network has no event {event}: import the file first, or choose it with --event")
    data = answer.get("data", answer)
    return {one["name"]: one["admits"] for one in data["products"]} if data["declared"] else None


async def _find(client: httpx.AsyncClient, event: str, code: str, patience: float) -> dict[str, Any]:
    """The answer about a code; without `data` if no ticket has it."""
    status, answer = await _answer(client, "POST", FIND_PATH, {"event": event, "barcode": code}, patience)
    return {"hint": answer.get("hint", "")} if status == 404 else answer


async def _answer(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None, patience: float
) -> tuple[int, dict[str, Any]]:
    response = (await ask_until_final(client, path, body, patience=patience, method=method)).response
    if response is None:
        raise NetworkSilent(f"no answer for {patience:.0f} s")
    if not (response.is_success or response.status_code == 404):
        raise Refused(f"the platform answered {response.status_code}: {response.text[:200]}")
    return response.status_code, response.json()


def _more(reason: str, answer: Mapping[str, Any]) -> str:
    data = answer.get("data") or {}
    match reason:
        case reasons.BARCODE_NOT_FOUND:
            return str(answer.get("hint") or "")
        case reasons.BLOCKED:
            return str(data["block_reason"] or "")
        case reasons.NOT_YET_VALID:
            return f"from {data['valid_from']} on"
        case reasons.NO_LONGER_VALID:
            return f"until {data['valid_until']}"
        case reasons.WRONG_PRODUCT:
            return str(data["product"])
        case reasons.ALREADY_CONSUMED if entry := data.get("last_entry"):
            return f"{entry['at'] or 'at an unknown time'}{entry['gate'] and ' at gate '}{entry['gate']}"
    return ""


def _seconds(moment: str | None) -> int:
    return int(datetime.fromisoformat(moment).timestamp()) if moment else 0
