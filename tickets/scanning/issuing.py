"""Has the tickets of a rehearsal issued over REST, each batch repeated until all of it is decided."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from dtvn.machine import reasons
from tickets.importing.delivery import BATCH_SIZE
from tickets.importing.imported import ImportedTicket
from tickets.importing.platform import TRY_AGAIN, NetworkSilent, Refused, ask_until_final, pause_before

BATCH_PATH = "/api/v1/tickets/batch"


async def issue_tickets(
    client: httpx.AsyncClient,
    tickets: Sequence[ImportedTicket],
    *,
    patience: float,
    batch_size: int = BATCH_SIZE,
) -> None:
    """Issue all tickets; one that exists is taken for issued by an attempt whose answer was lost. Raises
    NetworkSilent when a batch got no final answer for `patience` seconds, and Refused."""
    for start in range(0, len(tickets), batch_size):
        await _issue(client, tickets[start : start + batch_size], patience)


async def _issue(client: httpx.AsyncClient, tickets: Sequence[ImportedTicket], patience: float) -> None:
    loop = asyncio.get_running_loop()
    pending = [
        {"op": "issue", "ticket_id": one.ticket_id, "event": one.event, "barcodes": list(one.codes)}
        for one in tickets
    ]
    give_up_at, attempt = loop.time() + patience, 1
    while pending:
        body = {"operations": pending}
        response = (
            await ask_until_final(client, BATCH_PATH, body, patience=give_up_at - loop.time())
        ).response
        if response is not None and response.is_error:
            raise Refused(_sentence(response))
        results: list[dict[str, Any]] = response.json()["data"]["results"] if response is not None else []
        undecided = pending[len(results) :]
        for operation, result in zip(pending, results, strict=False):
            if result["status"] in TRY_AGAIN:
                undecided.append(operation)
            elif result["status"] >= 300 and result.get("code") != reasons.TICKET_EXISTS:
                raise Refused(f"{operation['ticket_id']} was refused: {result.get('error')}")
        if undecided and loop.time() >= give_up_at:
            raise NetworkSilent(f"no final answer for {patience:.0f} s")
        if undecided:
            attempt += 1
            await asyncio.sleep(pause_before(attempt, response))
        pending = undecided


def _sentence(response: httpx.Response) -> str:
    if response.status_code in {401, 403}:
        return "the API key was refused; see the credentials file, or give --api-key"
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = response.text[:200]
    return f"the platform answered {response.status_code}: {error}"
