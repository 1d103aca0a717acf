"""Issues imported tickets through the REST API: several batches in flight, each repeated until answered.

Requests carry no nonces: a ticket can be issued only once, so repeating is harmless, and for an import the
answer "exists" is as good as "issued". The cluster remembers a bounded number of nonces per gateway (R13),
and an import would use up those that the gates need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import httpx
import msgspec

from dtvn.machine import reasons
from dtvn.machine.codes import VALID_MAX
from dtvn.machine.fields import MICROSECONDS
from tickets.importing.imported import ImportedTicket, WrongRow
from tickets.importing.platform import TRY_AGAIN, Refused, ask_until_final, pause_before

ISSUE_PATH = "/api/v1/tickets"
BATCH_PATH = "/api/v1/tickets/batch"
BATCH_SIZE = 1_000
"""Tickets per request: about 300 KB, and one bundle of the gateway."""
IN_FLIGHT = 4
"""Concurrent requests: enough to keep the validators busy while answers travel."""

UNDECIDED = "the validators to decide; the pages say whether they can"
"""What an import waits for while none of its tickets gets an answer; completes "waiting for "."""


class NetworkSilent(Exception):
    """No answer within the allowed time; the requests that were sent may or may not have been executed."""


class Delivery(msgspec.Struct):
    """Results of the tickets of one import."""

    issued: int = 0
    existed: int = 0
    """Tickets issued before, by an earlier import or another caller: left unchanged."""
    wrong: list[WrongRow] = []
    sequence: int = 0
    """The highest at which one of them was decided, as far as it was told."""
    possible: set[str] = set()
    """Ids of the tickets that were sent, without those that are surely not in the network: each request for
    them was refused, or not ordered."""

    def note_sent(self, tickets: Iterable[ImportedTicket]) -> set[str]:
        """Note that these are sent now; returns the ids of those that are not in the network before."""
        fresh = {ticket.ticket_id for ticket in tickets} - self.possible
        self.possible |= fresh
        return fresh

    def add(self, other: Delivery) -> None:
        """Count the results of a further part of the file."""
        self.issued += other.issued
        self.existed += other.existed
        self.wrong += other.wrong

    @property
    def present(self) -> int:
        """Number of tickets of the file that are in the network."""
        return self.issued + self.existed


def steps(ticket: ImportedTicket) -> list[tuple[str, ...]]:
    """The codes that a ticket is given, one step after another: those that were replaced, at most VALID_MAX
    at a time, and the valid ones. It is issued with the first."""
    replaced = [
        ticket.revoked[start : start + VALID_MAX] for start in range(0, len(ticket.revoked), VALID_MAX)
    ]
    return [*replaced, ticket.codes]


def operation_of(ticket: ImportedTicket, commitment: bytes) -> dict[str, Any]:
    """The operation of a batch request that issues this ticket; `commitment`: b"" for none."""
    operation: dict[str, Any] = {"op": "issue", "ticket_id": ticket.ticket_id, "event": ticket.event}
    for field in ("product", "seat"):
        if text := getattr(ticket, field):
            operation[field] = text
    for field in ("not_before", "not_after"):
        if moment := getattr(ticket, field):
            operation[field] = moment // MICROSECONDS
    if ticket.codes:
        operation["barcodes"] = list(steps(ticket)[0])
    if ticket.blocked:
        operation |= {"blocked": True, "block_reason": ticket.block_reason}
    if commitment:
        operation["commitment"] = commitment.hex()
    return operation


async def check_may_issue(client: httpx.AsyncClient, *, patience: float) -> None:
    """Returns once the platform answers and this key may issue tickets; nothing is ordered.

    It sends an issue request without a ticket id: only a caller that may issue gets the error about the
    missing id. Raises NetworkSilent after `patience` seconds, and Refused.
    """
    response = (await ask_until_final(client, ISSUE_PATH, {}, patience=patience)).response
    if response is None:
        raise NetworkSilent(f"no answer for {patience:.0f} s")
    if response.status_code != reasons.REASONS[reasons.TICKET_ID_REQUIRED].status:
        raise Refused(_sentence(response))


async def send_tickets(
    client: httpx.AsyncClient,
    tickets: Sequence[ImportedTicket],
    commitments: Mapping[str, bytes],
    delivery: Delivery,
    *,
    patience: float,
    told: Callable[[int], None],
    batch_size: int = BATCH_SIZE,
    in_flight: int = IN_FLIGHT,
) -> None:
    """Issues all tickets. Calls `told(n)` whenever n more are done; `delivery` collects the outcomes.

    Raises NetworkSilent when a batch got no final answer for `patience` seconds, and Refused when the
    platform accepts none (a wrong key, for instance).
    """
    starts = iter(range(0, len(tickets), batch_size))

    async def work() -> None:
        for start in starts:
            part = tickets[start : start + batch_size]
            pairs = [
                (ticket, operation_of(ticket, commitments.get(ticket.ticket_id, b""))) for ticket in part
            ]
            await _send_batch(client, pairs, delivery, patience=patience, told=told)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _send_batch(
    client: httpx.AsyncClient,
    pending: list[tuple[ImportedTicket, dict[str, Any]]],
    delivery: Delivery,
    *,
    patience: float,
    told: Callable[[int], None],
) -> None:
    loop = asyncio.get_running_loop()
    give_up_at, attempt = loop.time() + patience, 1
    while pending:
        body = {"operations": [operation for _, operation in pending]}
        sent = delivery.note_sent(ticket for ticket, _ in pending)
        asked = await ask_until_final(client, BATCH_PATH, body, patience=give_up_at - loop.time())
        sent = set() if asked.in_doubt else sent
        if asked.response is None or asked.response.is_client_error:
            delivery.possible -= sent
        results = _results(asked.response, len(pending))
        undecided = [
            pair
            for pair, result in zip(pending, results, strict=True)
            if not settled(pair[0], result, delivery, sent)
        ]
        if done := len(pending) - len(undecided):
            told(done)
            give_up_at, attempt = loop.time() + patience, 1
        pending = undecided
        if pending and loop.time() >= give_up_at:
            raise NetworkSilent(f"no final answer for {patience:.0f} s")
        if pending:
            attempt += 1
            await asyncio.sleep(pause_before(attempt, asked.response))


def _results(response: httpx.Response | None, expected: int) -> list[dict[str, Any]]:
    """One result per operation; `{}` means "not known yet, ask again". Raises Refused."""
    if response is None:
        return [{}] * expected
    if response.status_code != httpx.codes.OK:
        raise Refused(_sentence(response))
    results: list[dict[str, Any]] = response.json()["data"]["results"]
    if len(results) != expected:
        raise Refused(f"the platform answered {len(results)} of {expected} operations")
    return results


def settled(
    ticket: ImportedTicket, result: Mapping[str, Any], delivery: Delivery, sent: Collection[str]
) -> bool:
    """Counts a final result; returns False if the same operation has to be sent again. `sent`: the ids whose
    requests before this one are all known not to be executed, so that a refusal proves it."""
    status, code = result.get("status"), result.get("code", "")
    delivery.sequence = max(delivery.sequence, result.get("sequence") or 0)
    if status is None or status in TRY_AGAIN:
        if code in reasons.NOT_SENT and ticket.ticket_id in sent:
            delivery.possible.discard(ticket.ticket_id)
        return False
    if 200 <= status < 300:
        delivery.issued += 1
    elif code == reasons.TICKET_EXISTS:
        delivery.existed += 1
    else:
        text = result.get("error") or code or f"status {status}"
        delivery.wrong.append(WrongRow(ticket.row, f"{ticket.ticket_id} was refused: {text}"))
        if ticket.ticket_id in sent:
            delivery.possible.discard(ticket.ticket_id)
    return True


def _sentence(response: httpx.Response) -> str:
    if response.status_code in {401, 403}:
        return "the API key was refused; see the credentials file, or give --api-key"
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = response.text[:200]
    return f"the platform answered {response.status_code}: {error}"
