"""Has the tickets of a rehearsal issued over REST, each batch repeated until all of it is decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from dtvn.machine import reasons
from tickets.importing.imported import ImportedTicket
from tickets.importing.platform import answer_of
from tickets.importing.until_final import BATCH_SIZE, TRY_AGAIN, Answer, Refused, until_final_async

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
    operations = [
        {"op": "issue", "ticket_id": one.ticket_id, "event": one.event, "barcodes": list(one.codes)}
        for one in tickets
    ]

    async def ask(batch: list[dict[str, Any]]) -> list[Answer]:
        try:
            response = await client.request("POST", BATCH_PATH, json={"operations": batch})
        except httpx.TransportError:
            return []
        if response.status_code in TRY_AGAIN:
            return [answer_of(response)] * len(batch)
        if response.is_error:
            raise Refused(_sentence(response))
        return [Answer(result["status"], result) for result in response.json()["data"]["results"]]

    async for operation, answer in until_final_async(ask, operations, patience=patience, size=batch_size):
        if answer.status >= 300 and answer.content.get("code") != reasons.TICKET_EXISTS:
            raise Refused(f"{operation['ticket_id']} was refused: {answer.content.get('error')}")


def _sentence(response: httpx.Response) -> str:
    if response.status_code in {401, 403}:
        return "the API key was refused; see the credentials file, or give --api-key"
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = response.text[:200]
    return f"the platform answered {response.status_code}: {error}"
