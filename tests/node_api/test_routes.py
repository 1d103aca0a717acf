"""The routes of a node's own API as a client meets them: who gets past, and each field that is told."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from dtvn.api.answers import success
from dtvn.api.errors import SEQUENCE_HEADER
from dtvn.api.helper import service as services
from dtvn.api.helper.app import build_app
from dtvn.api.helper.front import CORS
from dtvn.api.helper.ledger import Holdings
from dtvn.api.helper.routes import BODY_BYTES_MAX, BODY_BYTES_READ, Routes
from dtvn.api.helper.service import Service
from dtvn.api.queries import RecordsQuery, TicketsQuery
from dtvn.api.reads import Page
from dtvn.machine.kinds import KINDS, OPERATIONS
from dtvn.node.options import ApiOptions
from tests.host.support import make_genesis
from tests.support.table import table

APPLIED = 41
STATUS: dict[str, Any] = {
    "state": "voting",
    "sequence": 40,
    "log_time_ahead": 0.0,
    "release": "0.2.0",
    "version": 2,
    "peer_count": 3,
    "peers": ["r1", "r2", "r3"],
    "is_primary": True,
    "view": 6,
    "members": 4,
    "cache_size": 12,
    "write_time": 5,
    "states": {"ISSUED": 2},
    "peer_id": "12D3KooW",
    "public_key": "ab" * 32,
    "listen": ["/ip4/127.0.0.1/tcp/9000"],
}

READY = {"status": "ready", "sequence": 40, "release": "0.2.0", "version": 2}


class Ledger:
    """What a node's ledger would show, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.found = Holdings(
            {"ISSUED": 5, "DISPUTED": 2, "UPHELD": 1}, 9, (8, b"\xab\xcd", 1_700_000_000_000_001)
        )

    def applied_sequence(self) -> int:
        return APPLIED

    def storage_stats(self) -> dict[str, int]:
        return {"keys": 7}

    def holdings(self, counted: dict[str, int]) -> Holdings:
        self.asked.append(counted)
        return self.found

    def read_ticket(self, event: str, ticket_id: str) -> dict[str, Any] | None:
        self.asked.append((event, ticket_id))
        return {"ID": ticket_id} if ticket_id == "T-1" else None

    def list_tickets(self, query: TicketsQuery) -> Page:
        self.asked.append(query)
        return Page([{"ID": "T-1"}, {"ID": "T-2"}], 3, more=True, sequence=43)

    def list_records(self, query: RecordsQuery) -> Page:
        self.asked.append(query)
        return Page([{"sequence": 5, "index": 1}], 1, more=query.limit == 1)


class Node:
    """A node's API over such a ledger."""

    def __init__(self, **options: Any) -> None:
        made: Any = Service.__new__(Service)
        made._status, made._status_at, made._gateway = STATUS, time.monotonic(), None
        made._no_gateway = "This node's API is read-only: a word."
        made._readers, made._awaited, made._looking = ThreadPoolExecutor(2, "reader"), {}, None
        made._sockets, made._waiting, made._answered = 2, 0, []
        made.news = asyncio.Event()
        made.node, made.genesis, made.ledger = "r0", make_genesis(4), Ledger()
        made.setup = SimpleNamespace(options=ApiOptions(port=0, **options))
        self.service, self.app, self.ledger = made, build_app(made), made.ledger

    def ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://node:8080") as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.request(method, path, content=content, headers=named)

        return asyncio.run(asked())

    def data(self, path: str, sequence: int) -> Any:
        answer = self.ask("GET", path)
        assert (answer.status_code, answer.headers[SEQUENCE_HEADER]) == (200, str(sequence)), answer.text
        assert answer.json()["success"] is True
        return answer.json()["data"]


@pytest.fixture
def node() -> Node:
    return Node()


# --- who gets past -------------------------------------------------------------------------------

FOREIGN, OWN = "http://evil.example", "http://node:8080"
TICKET = "/api/v1/tickets/T-1"


@table(
    ("key", "method", "path", "headers", "status"),
    [
        ("", "POST", "/api/v1/tickets", {"Origin": FOREIGN}, 403),
        ("", "DELETE", TICKET, {"Origin": FOREIGN}, 403),
        ("", "PUT", TICKET, {"Origin": "null"}, 403),
        ("", "PUT", TICKET, {"Origin": OWN}, 405),
        ("", "POST", "/api/v1/tickets", {}, 400),
        ("", "GET", TICKET, {"Origin": FOREIGN}, 200),
        ("right", "GET", TICKET, {}, 401),
        ("right", "GET", TICKET, {"X-API-Key": "wrong"}, 401),
        ("right", "POST", "/api/v1/tickets", {"X-API-Key": "wrong", "Origin": OWN}, 401),
        ("right", "GET", TICKET, {"X-API-Key": "right"}, 200),
        ("right", "POST", "/api/v1/tickets", {"X-API-Key": "right", "Origin": FOREIGN}, 400),
        ("right", "OPTIONS", TICKET, {}, 200),
        ("right", "GET", "/health", {}, 200),
        ("right", "GET", "/apis", {}, 404),
    ],
    count=14,
)
def test_c21_a_write_of_another_site_and_a_wrong_key_reach_no_route(
    key: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    node = Node(key=key)
    answer = node.ask(method, path, b"[]", **headers)
    assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json() == {
            "success": False,
            "error": "Pages of other sites may not change tickets (Origin header).",
            "code": "foreign_origin",
        }
    if status == 401:
        assert answer.json() == {"success": False, "error": "Invalid or missing API key"}
    if status in (401, 403):
        assert node.ledger.asked == []


@table(
    ("options", "headers", "passed"),
    [
        ({}, {}, True),
        ({}, {"origin": OWN}, True),
        ({}, {"origin": FOREIGN}, False),
        ({"key": "right"}, {"origin": OWN}, True),
        ({"key": "right", "closed": True}, {"origin": OWN}, False),
        ({"key": "right", "closed": True}, {"origin": OWN, "x-api-key": "wrong"}, False),
        ({"key": "right", "closed": True}, {"origin": OWN, "x-api-key": "right"}, True),
        ({"key": "right", "closed": True}, {"origin": FOREIGN, "x-api-key": "right"}, False),
    ],
    count=8,
)
def test_c21_a_socket_of_another_site_or_without_the_key_is_denied(
    options: dict[str, Any], headers: dict[str, str], passed: bool
) -> None:
    named = [(name.encode(), value.encode()) for name, value in ({"host": "node:8080"} | headers).items()]
    scope = {
        "type": "websocket",
        "path": "/ws",
        "headers": named,
        "query_string": b"",
        "extensions": {"websocket.http.response": {}},
    }
    sent: list[Any] = []

    async def listen() -> None:
        arrived = iter([{"type": "websocket.connect"}])

        async def receive() -> Any:
            return next(arrived, {"type": "websocket.disconnect", "code": 1000})

        async def send(message: Any) -> None:
            sent.append(message)

        node = Node(**options)
        node.service.ledger.position = lambda: ((APPLIED, 0), 0)
        await node.app(scope, receive, send)

    asyncio.run(listen())
    assert (sent[0]["type"] == "websocket.accept") is passed, sent
    assert passed or sent[0]["status"] == (403 if headers["origin"] == FOREIGN else 401)


def test_pages_of_other_sites_may_read_only_where_that_is_wanted() -> None:
    for path in ("/api/v1/peers", "/api/v1/nowhere"):
        shared, private = (Node(cors=cors).ask("GET", path).headers for cors in (True, False))
        assert {name: shared[name] for name in CORS} == CORS
        assert not [name for name in private if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/api/v1/nowhere", 404, "not_found", None),
        ("GET", "/api/v1/peers/", 404, "not_found", None),
        ("DELETE", "/api/v1/tickets", 405, "method_not_allowed", "GET, POST"),
        ("PATCH", "/api/v1/peers", 405, "method_not_allowed", "GET"),
        ("GET", "/ws", 400, "bad_request", None),
        ("GET", "/api/v1/tickets?limit=0", 400, "bad_request", None),
        ("GET", "/api/v1/tickets/T-1?event=a%20b", 400, "bad_request", None),
    ],
)
def test_what_the_router_refuses_is_json_too(
    node: Node, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    answer = node.ask(method, path)
    assert (answer.status_code, answer.json()["code"], answer.json()["success"]) == (status, code, False)
    assert answer.headers.get("Allow") == allow


def test_each_operation_has_its_path_and_the_list_shares_that_of_an_issue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def operation(_: Routes, kind: str) -> Any:
        async def handle(http: Any) -> Any:
            return success(kind)

        return handle

    monkeypatch.setattr(Routes, "operation", operation)
    node = Node()
    told = {kind: node.ask("POST", KINDS[kind].path).json()["message"] for kind in OPERATIONS}
    assert told == {kind: kind for kind in OPERATIONS}
    assert [one["ID"] for one in node.ask("GET", "/api/v1/tickets").json()["data"]] == ["T-1", "T-2"]


def test_the_page_of_a_node_is_served_from_its_folder_only(tmp_path: Path, node: Node) -> None:
    (tmp_path / "css").mkdir()
    (tmp_path / "index.html").write_text("<p>node</p>")
    (tmp_path / "css" / "a.css").write_text("p{}")
    (tmp_path / "secret").write_text("no")
    page = Node(static=str(tmp_path), key="right")
    assert (page.ask("GET", "/").text, page.ask("GET", "/css/a.css").text) == ("<p>node</p>", "p{}")
    moved = page.ask("GET", "/index.html")
    assert (moved.status_code, moved.headers["Location"]) == (301, "./")
    for path in ("/secret", "/css/../secret", "/css/%2e%2e/secret"):
        assert page.ask("GET", path).status_code == 404
    assert node.ask("GET", "/").status_code == 404


# --- what is told --------------------------------------------------------------------------------


def test_stats_peers_and_configuration_are_those_of_the_newest_report(node: Node) -> None:
    assert node.data("/api/v1/stats", APPLIED) == {
        "node_id": "r0",
        "peer_count": 3,
        "is_primary": True,
        "current_view": 6,
        "sequence": APPLIED,
        "cache_size": 12,
        "storage_stats": {"keys": 7, "write_time": 5},
    }
    assert node.data("/api/v1/peers", 40) == {"peers": ["r1", "r2", "r3"]}
    assert node.data("/api/v1/config", 40) == {
        "node_id": "r0",
        "total_nodes": 4,
        "is_primary": True,
        "current_view": 6,
    }
    assert node.data("/api/v1/node/crypto", 40) == {
        "node_id": "r0",
        "peer_id": "12D3KooW",
        "public_key": "ab" * 32,
        "key_algorithm": "Ed25519",
        "transport_security": ["curvezmq"],
        "listen_addresses": ["/ip4/127.0.0.1/tcp/9000"],
    }
    status = node.data("/api/v1/status", APPLIED)
    assert abs(status.pop("timestamp") - time.time()) < 60
    assert status == {"status": "running", "ws_clients": 2}


def test_the_holdings_count_upheld_tickets_as_disputed_and_beside(node: Node) -> None:
    held = node.data("/api/v1/storage/entries", APPLIED)
    states = held.pop("ticket_states")
    assert {name: count for name, count in states.items() if count} == {"ISSUED": 5, "DISPUTED": 3}
    assert held == {
        "node_id": "r0",
        "total_tickets": 8,
        "upheld_tickets": 1,
        "consensus_log_count": 9,
        "latest_checkpoint": {
            "sequence": 8,
            "state_digest": "abcd",
            "node_id": "r0",
            "timestamp": 1_700_000_000,
        },
        "db_stats": {"keys": 7, "write_time": 5},
    }
    assert node.ledger.asked == [{"ISSUED": 2}]
    node.ledger.found = Holdings({}, 0, None)
    empty = node.data("/api/v1/storage/entries", APPLIED)
    assert (empty["latest_checkpoint"], empty["total_tickets"], empty["upheld_tickets"]) == (None, 0, 0)


def test_lists_and_tickets_are_read_as_they_were_asked_for(node: Node) -> None:
    answer = node.ask("GET", "/api/v1/tickets?event=fest&limit=2&after=T-0&state=ISSUED")
    assert answer.headers["X-Total-Count"] == "3"
    assert answer.headers[SEQUENCE_HEADER] == "43", "the page is newer than what was waited for"
    assert answer.headers["Link"] == (
        '</api/v1/tickets?event=fest&limit=2&state=ISSUED&after=T-2>; rel="next"'
    )
    logs = node.ask("GET", "/api/v1/consensus/logs?limit=1&outcome=all&after=4.2")
    assert logs.headers["Link"] == '</api/v1/consensus/logs?limit=1&outcome=all&after=5.1>; rel="next"'
    last = node.ask("GET", "/api/v1/consensus/logs?kind=all")
    assert ("Link" in last.headers, last.headers[SEQUENCE_HEADER]) == (False, str(APPLIED))
    assert node.data("/api/v1/tickets/T-1?event=fest", APPLIED) == {"ID": "T-1"}
    missing = node.ask("GET", "/api/v1/tickets/T-9")
    assert (missing.status_code, missing.headers[SEQUENCE_HEADER]) == (404, str(APPLIED))
    assert missing.json()["code"] == "ticket_not_found"
    assert node.ask("GET", "/api/v1/tickets/a%20b").status_code == 404
    assert node.ledger.asked == [
        TicketsQuery("fest", 2, "ISSUED", "T-0"),
        RecordsQuery(1, (4, 2), refused=True, all_kinds=False, state=None),
        RecordsQuery(10_000, None, refused=False, all_kinds=True, state=None),
        ("fest", "T-1"),
        ("default", "T-9"),
    ]


def test_before_its_first_report_a_node_says_that_it_is_starting(node: Node) -> None:
    node.service._status = None
    for path in ("status", "stats", "peers", "config", "node/crypto", "storage/entries", "tickets/T-1"):
        answer = node.ask("GET", f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (503, "starting"), path
    assert node.ask("GET", "/health").json() == {"status": "unhealthy"}
    assert node.ask("GET", "/live").status_code == 200


@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        ({}, 200, READY),
        ({"log_time_ahead": 7.5}, 200, READY | {"log_time_ahead": 7.5}),
        ({"state": "catching up"}, 503, {"status": "not ready", "state": "catching up"}),
    ],
)
def test_a_node_is_ready_while_it_votes(
    node: Node, changed: dict[str, Any], status: int, told: dict[str, Any]
) -> None:
    node.service._status = STATUS | changed
    answer = node.ask("GET", "/ready")
    assert (answer.status_code, answer.json()) == (status, told)
    node.service._status_at -= services.STATUS_AGE_MAX
    late = node.ask("GET", "/ready")
    assert (late.status_code, late.json()) == (503, {"status": "not ready", "state": "unhealthy"})
    assert node.ask("GET", "/health").status_code == 503


def test_an_operation_on_a_node_without_a_key_of_a_principal_says_so(node: Node) -> None:
    answer = node.ask("POST", "/api/v1/tickets/validate", b'{"ticket_id": "T-1"}')
    assert (answer.status_code, answer.json()["code"]) == (503, "read_only")
    assert answer.json()["error"] == "This node's API is read-only: a word."


def test_operations_beyond_the_bound_are_refused_and_the_others_counted_down(node: Node) -> None:
    node.service._gateway = SimpleNamespace(acknowledged=0)
    node.service._waiting = services.CALLS_MAX
    answer = node.ask("POST", "/api/v1/tickets/validate", b'{"ticket_id": "T-1"}')
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert node.service._waiting == services.CALLS_MAX


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, BODY_BYTES_READ + 1])
def test_a_body_that_is_too_large_is_refused_with_its_bound(node: Node, size: int) -> None:
    answer = node.ask("POST", "/api/v1/tickets", b" " * size)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["error"] == "The body is larger than 1048576 bytes."
    whole = b'{"ticket_id": "T-1"}'
    fits = node.ask("POST", "/api/v1/tickets", b" " * (BODY_BYTES_MAX - len(whole)) + whole)
    assert fits.json()["code"] == "read_only"
