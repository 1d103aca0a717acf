"""The handlers of a node's API: shared ones over the node's ledger, and those about the node itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dtvn.api.answers import Answer, bare, success
from dtvn.api.bodies import read_body, request_of
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, ServiceError
from dtvn.api.helper.front import NONCE
from dtvn.api.helper.service import Service
from dtvn.api.mode import label
from dtvn.api.ordering import Decision
from dtvn.api.outcome import details
from dtvn.api.queries import RecordsQuery, TicketsQuery, read_event, read_records_query, read_tickets_query
from dtvn.api.reads import answer_page, answer_ticket, read_ticket
from dtvn.api.writes import answer_operation, issued_ticket, members_untold
from dtvn.machine import State, public_counts, reasons, seeded_count
from dtvn.machine.contract import ticket_of_bytes
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.kinds import OPERATIONS
from dtvn.protocol import genesis as g

Handler = Callable[[Request], Awaitable[Answer | Response]]

VOTING = "voting"
"""State of a node that votes."""
STATES_OF_TIME = ("log_time_ahead", "log_time_behind", "own_clock_doubtful")
"""Log time is ahead of the node's clock; the newest proposal was behind it; others do not confirm a step of
its machine's clock (R3)."""
BODY_BYTES_MAX = 1024 * 1024
"""Largest body of an operation."""
BODY_BYTES_READ = 16 * 1024 * 1024
"""A longer body is read to its end up to this size, so that its sender sees the answer."""


class Routes:
    """One method per route; `operation` makes those that change tickets."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def operation(self, kind: str) -> Callable[[Request], Awaitable[Answer]]:
        """POST of one operation, ordered by the cluster with this node as its entry."""

        async def handle(http: Request) -> Answer:
            try:
                body = read_body(await _body(http), OPERATIONS[kind].body)
                request = request_of(kind, body, http.headers.get("Idempotency-Key"))
                http.scope[NONCE] = request.nonce
                decision = await self._service.decide(request)
                return answer_operation(kind, decision, self._data(kind, decision))
            except ServiceError as error:
                error.more = error.more or members_untold(kind, error)
                raise

        return handle

    def _data(self, kind: str, decision: Decision) -> Any:
        if decision.code != reasons.OK:
            return msgspec.UNSET
        if kind == "seed":
            return {"seeded": seeded_count(decision.result.state)}
        if (known := issued_ticket(decision)) is None:
            return msgspec.UNSET
        names = [member.id for member in self._service.genesis.members]
        return ticket_of_bytes(*known, names) | details(*known, lambda _event: decision.zone)

    # --- the ledger -----------------------------------------------------------------------------

    async def tickets(self, http: Request) -> Answer:
        """Tickets of one event by ascending id."""
        return await self._page(http, read_tickets_query)

    async def logs(self, http: Request) -> Answer:
        """Ordered operations, ascending; by default only applied ones that concern a ticket."""
        return await self._page(http, read_records_query)

    async def _page(
        self, http: Request, parse: Callable[[Mapping[str, str]], TicketsQuery | RecordsQuery]
    ) -> Answer:
        call = _call(http)
        query, sequence = parse(call.query), await self._seen(call)
        return await self._service.read(answer_page, call, self._service.ledger, query, sequence)

    async def ticket(self, http: Request) -> Answer:
        """One ticket; 404 while it is not there."""
        call = _call(http)
        event, sequence = read_event(call.query), await self._seen(call)
        ledger, ticket_id = self._service.ledger, http.path_params["id"]
        return answer_ticket(await self._service.read(read_ticket, ledger, event, ticket_id), sequence)

    async def storage(self, http: Request) -> Answer:
        """Contents of the ledger; the contract counts upheld tickets as DISPUTED, so they stand beside."""
        sequence = await self._seen(_call(http))
        ledger = self._service.ledger
        held = await self._service.read(ledger.holdings, self._service.status["states"])
        newest = None
        if held.checkpoint is not None:
            at, digest, timestamp = held.checkpoint
            newest = {
                "sequence": at,
                "state_digest": digest.hex(),
                "node_id": self._service.node,
                "timestamp": timestamp // MICROSECONDS,
            }
        data = {
            "node_id": self._service.node,
            "total_tickets": sum(held.states.values()),
            "ticket_states": public_counts(held.states),
            "upheld_tickets": held.states.get(State.UPHELD.name, 0),
            "consensus_log_count": held.operations,
            "latest_checkpoint": newest,
            "db_stats": await self._storage(),
        }
        return success(data=data, sequence=sequence)

    # --- the node itself ------------------------------------------------------------------------

    async def health(self, http: Request) -> Answer:
        """Whether the node's loop is running; without envelope. In a Raft cluster with its label."""
        if not self._service.healthy:
            return bare({"status": "unhealthy"}, status=503)
        return bare({"status": "healthy"} | label(g.mode(self._service.genesis)))

    async def live(self, http: Request) -> Answer:
        """200 while this process answers at all."""
        return bare({"status": "live"})

    async def ready(self, http: Request) -> Answer:
        """200 while the node's loop runs and it votes; else 503 with its state. Orders nothing. `release`:
        its program's; `version`: the cluster's in the node's epoch (R47). /health is exactly the Go DTVN's.
        STATES_OF_TIME: seconds, each absent while it does not apply."""
        state = self._service.status["state"] if self._service.healthy else "unhealthy"
        if state != VOTING:
            return bare({"status": "not ready", "state": state}, status=503)
        told = {"status": "ready"} | {
            name: self._service.status[name] for name in ("sequence", "release", "version")
        }
        seconds = {name: self._service.status.get(name) for name in STATES_OF_TIME}
        return bare(told | {name: found for name, found in seconds.items() if found})

    async def status(self, http: Request) -> Answer:
        """Reports that the node runs, and its number of sockets."""
        self._service.status  # noqa: B018 - raises before the first report
        data = {"status": "running", "timestamp": int(time.time()), "ws_clients": self._service.sockets}
        return success(data=data, sequence=await self._service.seen())

    async def stats(self, http: Request) -> Answer:
        """The Go DTVN's Stats."""
        sequence = await self._seen(_call(http))
        status = self._service.status
        data = {
            "node_id": self._service.node,
            "peer_count": status["peer_count"],
            "is_primary": status["is_primary"],
            "current_view": status["view"],
            "sequence": max(status["sequence"], sequence),
            "cache_size": status["cache_size"],
            "storage_stats": await self._storage(),
        }
        return success(data=data, sequence=data["sequence"])

    async def peers(self, http: Request) -> Answer:
        """The members that this node is connected to."""
        status = self._service.status
        return success(data={"peers": status["peers"]}, sequence=status["sequence"])

    async def config(self, http: Request) -> Answer:
        """This node's configuration and place in the cluster."""
        status = self._service.status
        data = {
            "node_id": self._service.node,
            "total_nodes": status["members"],
            "is_primary": status["is_primary"],
            "current_view": status["view"],
        }
        return success(data=data, sequence=status["sequence"])

    async def crypto(self, http: Request) -> Answer:
        """The node's identity, and how its links are secured."""
        status = self._service.status
        data = {
            "node_id": self._service.node,
            "peer_id": status["peer_id"],
            "public_key": status["public_key"],
            "key_algorithm": "Ed25519",
            "transport_security": ["curvezmq"],
            "listen_addresses": status["listen"],
        }
        return success(data=data, sequence=status["sequence"])

    async def _seen(self, call: Call) -> int:
        """Wait until the ledger shows the acknowledged writes, and the sequence that the request names
        (R17)."""
        return await self._service.seen(call.min_sequence)

    async def _storage(self) -> dict[str, int]:
        found = await self._service.read(self._service.ledger.storage_stats)
        return {**found, "write_time": self._service.status["write_time"]}


def _call(http: Request) -> Call:
    return Call(http.url.path, tuple(http.query_params.multi_items()), http.headers)


async def _body(http: Request) -> bytes:
    """The body; raise 413 when it is too long."""
    announced = http.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > BODY_BYTES_READ:
        raise _too_large()
    body, size = bytearray(), 0
    async for chunk in http.stream():  # the deadline for the whole request is deadlines.READ
        size += len(chunk)
        if size <= BODY_BYTES_MAX:
            body += chunk
        elif size > BODY_BYTES_READ:
            break
    if size > BODY_BYTES_MAX:
        raise _too_large()
    return bytes(body)


def _too_large() -> ApiError:
    return ApiError(413, reasons.TOO_LARGE, f"The body is larger than {BODY_BYTES_MAX} bytes.")
