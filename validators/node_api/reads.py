"""GET: tickets, the consensus log, and the node's own status."""

from __future__ import annotations

import time
from typing import Any

from django.db import transaction
from starlette.requests import Request
from starlette.responses import Response

from dtvn.machine import reasons
from dtvn.machine.commands import is_name
from dtvn.machine.contract import consensus_record, ticket_of_bytes
from tickets.rest.queries import (
    next_link,
    read_event,
    read_limit,
    read_log_query,
    read_number,
    read_position,
    read_ticket_query,
)
from validators.ledger import read
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS, Listed
from validators.ledger.read_packed import count_event, count_states, list_packed, newest_number, packed_ticket
from validators.node_api.answers import Problem, bare, success
from validators.node_api.service import ALIAS, Service

__all__ = ["Reads"]

MICROSECONDS = 1_000_000
COUNTED_MAX = 50_000
"""Up to this many tickets, each answer counts them; beyond, it uses the node's own count of the last
second."""
SEQUENCE_MAX = 2**63 - 1


class Reads:
    """One method per route."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._founders = [member.id for member in service.genesis.members]

    async def health(self, http: Request) -> Response:
        """Whether the node's loop is running; without envelope."""
        if not self._service.healthy:
            return bare({"status": "unhealthy"}, status=503)
        return bare({"status": "healthy"})

    async def tickets(self, http: Request) -> Response:
        """Tickets of one event by ascending id."""
        query = http.query_params
        event, limit = read_event(query), read_limit(query)
        state, after = read_ticket_query(query)
        await self._seen(http)
        found = await self._service.read(self._list, event, limit, state, after)
        sequence, tickets, total, more = found
        headers = {"X-Total-Count": str(total)}
        if more:
            headers["Link"] = next_link(http.url.path, query.multi_items(), tickets[-1]["ID"])
        return success(data=tickets, sequence=sequence, headers=headers)

    async def ticket(self, http: Request) -> Response:
        """One ticket; 404 while it is not there."""
        event, ticket_id = read_event(http.query_params), http.path_params["id"]
        sequence = await self._seen(http)
        pair = None
        if is_name(ticket_id):
            pair = await self._service.read(packed_ticket, ALIAS, event, ticket_id)
        if pair is None:
            reason = reasons.REASONS[reasons.TICKET_NOT_FOUND]
            raise Problem(404, reason.code, reason.sentence, {"X-DTVN-Sequence": str(sequence)})
        names = await self._service.read(read.member_names, ALIAS, self._founders)
        return success(data=ticket_of_bytes(*pair, names), sequence=sequence)

    async def status(self, http: Request) -> Response:
        """That the node runs, and its number of sockets."""
        self._service.status  # noqa: B018 - raises before the first report
        data = {"status": "running", "timestamp": int(time.time()), "ws_clients": self._service.sockets}
        return success(data=data, sequence=await self._service.seen())

    async def stats(self, http: Request) -> Response:
        """The seed's Stats."""
        sequence = await self._seen(http)
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

    async def peers(self, http: Request) -> Response:
        """The members that this node is connected to."""
        status = self._service.status
        return success(data={"peers": status["peers"]}, sequence=status["sequence"])

    async def config(self, http: Request) -> Response:
        """This node's configuration and place in the cluster."""
        status = self._service.status
        data = {
            "node_id": self._service.node,
            "total_nodes": status["members"],
            "is_primary": status["is_primary"],
            "current_view": status["view"],
        }
        return success(data=data, sequence=status["sequence"])

    async def crypto(self, http: Request) -> Response:
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

    async def logs(self, http: Request) -> Response:
        """Ordered operations, ascending; by default only applied ones that concern a ticket."""
        query = http.query_params
        limit, after = read_limit(query), query.get("after")
        refused, all_kinds, state = read_log_query(query)
        position = (0, -1) if after is None else read_position(after, ORDERED_OPERATION_SLOTS)
        await self._seen(http)
        found = await self._service.read(_operations, limit, position, refused, all_kinds, state)
        sequence, listed, total, more = found
        headers = {"X-Total-Count": str(total)}
        if more:
            last = f"{listed[-1].sequence}.{listed[-1].index}"
            headers["Link"] = next_link(http.url.path, query.multi_items(), last)
        return success(data=[_record(item) for item in listed], sequence=sequence, headers=headers)

    async def storage(self, http: Request) -> Response:
        """Contents of the ledger."""
        sequence = await self._seen(http)
        counts, operations, checkpoint = await self._service.read(_holdings)
        counts = counts or self._service.status["states"] or await self._service.read(count_states, ALIAS)
        newest = None
        if checkpoint is not None:
            newest = {
                "sequence": checkpoint.sequence,
                "state_digest": checkpoint.state_root.hex(),
                "node_id": self._service.node,
                "timestamp": checkpoint.timestamp // MICROSECONDS,
            }
        data = {
            "node_id": self._service.node,
            "total_tickets": sum(counts.values()),
            "ticket_states": counts,
            "consensus_log_count": operations,
            "latest_checkpoint": newest,
            "db_stats": await self._storage(),
        }
        return success(data=data, sequence=sequence)

    async def _seen(self, http: Request) -> int:
        """Wait until the ledger shows the acknowledged writes, and the sequence that the request names
        (R17)."""
        named = http.headers.get("X-DTVN-Min-Sequence", "0")
        return await self._service.seen(read_number("X-DTVN-Min-Sequence", named, 0, SEQUENCE_MAX))

    async def _storage(self) -> dict[str, int]:
        found = await self._service.read(read.storage_stats, ALIAS)
        return {**found, "write_time": self._service.status["write_time"]}

    def _list(
        self, event: str, limit: int, state: str | None, after: str
    ) -> tuple[int, list[dict[str, Any]], int, bool]:
        """(sequence, tickets, total number, whether there are more), from one consistent read."""
        with transaction.atomic(using=ALIAS):
            sequence = read.applied_sequence(ALIAS)
            pairs = list_packed(ALIAS, limit=limit + 1, event=event, state=state, after=after)
            if state is None:
                total = count_event(ALIAS, event)
            else:
                total = count_states(ALIAS, event).get(state, 0)
            names = read.member_names(ALIAS, self._founders)
        tickets = [ticket_of_bytes(*pair, names) for pair in pairs[:limit]]
        return sequence, tickets, total, len(pairs) > limit


def _operations(
    limit: int, after: tuple[int, int], refused: bool, all_kinds: bool, state: str | None
) -> tuple[int, list[Listed], int, bool]:
    with transaction.atomic(using=ALIAS):
        sequence = read.applied_sequence(ALIAS)
        listed = read.list_operations(
            ALIAS, limit=limit + 1, after=after, refused=refused, all_kinds=all_kinds, state=state
        )
        total = read.count_operations(ALIAS, refused=refused, all_kinds=all_kinds, state=state)
    return sequence, listed[:limit], total, len(listed) > limit


def _holdings() -> tuple[dict[str, int], int, Any]:
    """Tickets by state ({} if counting would take long), operations of the default list, checkpoint."""
    with transaction.atomic(using=ALIAS):
        few = newest_number(ALIAS) <= COUNTED_MAX
        return (
            count_states(ALIAS) if few else {},
            read.count_operations(ALIAS),
            read.newest_checkpoint(ALIAS),
        )


def _record(item: Listed) -> dict[str, Any]:
    operation = item.operation
    return consensus_record(
        sequence=item.sequence,
        index=item.index,
        view=item.view,
        request=item.request,
        ticket=operation.ticket,
        kind=operation.kind,
        digest=item.digest,
        timestamp=item.timestamp,
        entry=operation.entry,
        code=item.code,
    )
