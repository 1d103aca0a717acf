"""What passes the front of a node's API: keys and origins (C19, C21, X41)."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dtvn.api.access import allowed_origin
from dtvn.api.errors import SEQUENCE_HEADER, ApiError, Unavailable
from dtvn.api.helper.app import _route, build_app
from dtvn.api.helper.front import NONCE, PATH_MAX, Front, key_fits
from dtvn.api.helper.routes import VOTING, Routes
from dtvn.node.api_channel import Answered
from dtvn.node.options import ApiOptions
from dtvn.protocol import genesis as g
from dtvn.protocol.quorum import Mode
from tests.host.support import make_genesis
from tests.support.table import table


@pytest.mark.parametrize(
    ("origin", "fits"),
    [
        (None, True),
        ("http://Node:8080", True),
        ("http://node:8081", False),
        ("http://localhost:9", True),
        ("https://127.0.0.1", True),
        ("http://[::1]:1", True),
        ("http://named.example", True),
        ("HTTP://B", True),
        ("http://named.example:81", False),
        ("http://evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://evil.example/localhost", False),
        ("null", False),
        ("", False),
        ("http://[", False),
    ],
)
def test_c21_own_local_and_named_origins_are_allowed(
    origin: str | None, *, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DTVN_WS_ORIGINS", " http://named.example ,, http://b")
    assert allowed_origin(origin, "node:8080") is fits


def test_c21_an_empty_origin_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DTVN_WS_ORIGINS", raising=False)
    assert not allowed_origin("", "")
    monkeypatch.setenv("DTVN_WS_ORIGINS", ",")
    assert not allowed_origin("http://evil.example", "")


@table(
    ("method", "path", "key", "told"),
    [
        ("GET", "/api/v1/tickets/T-1", "", ("GET", "/api/v1/tickets/{id}", 401)),
        ("OPTIONS", "/api/v1/tickets/T-1", "", ("OPTIONS", "/api/v1/tickets/{id}", 200)),
        ("PUT", "/api/v1/tickets/T-1", "right", ("PUT", "/api/v1/tickets/{id}", 405)),
        ("GET", "/api/v1/nope", "right", ("GET", "other", 404)),
        ("GET", "/api/v1/nope", "", ("GET", "other", 401)),
    ],
    count=5,
)
def test_an_unanswered_request_is_counted_under_the_route_of_its_path(
    method: str, path: str, key: str, told: tuple[str, str, int]
) -> None:
    routes = [Route("/api/v1/tickets/{id}", lambda http: Response(), methods=["GET"])]
    answered, status = ask(routes, method, path, key)
    assert (answered.method, answered.endpoint, answered.status) == told
    assert (answered.path, answered.unforeseen) == (path, False)
    assert status == told[2]


def test_3600_probes_need_no_key_and_use_nothing_that_orders() -> None:
    """A service with neither gateway nor ledger answers them."""
    counted: list[Answered] = []
    status = {"state": VOTING, "sequence": 7, "release": "0.2.0", "version": 2}
    setup = SimpleNamespace(options=ApiOptions(port=0, key="right"))
    service: Any = SimpleNamespace(setup=setup, healthy=True, status=status, answered=counted.append)
    app = build_app(service)

    async def probes() -> list[int]:
        return [await status_from(app, "GET", path, "") for path in ("/live", "/ready") * 1_800]

    assert asyncio.run(probes()) == [200] * 3_600
    assert not any(each.unforeseen or each.sequence for each in counted)


def ask(routes: list[Route], method: str, path: str, key: str = "right") -> tuple[Answered, int]:
    """The front's record of one request, and the status that its client got; 0: no answer."""
    counted: list[Answered] = []
    front = Front(Starlette(routes=routes), ApiOptions(port=0, key="right"), counted.append, routes)
    status = asyncio.run(status_from(front, method, path, key))
    [told] = counted
    return told, status


async def status_from(app: ASGIApp, method: str, path: str, key: str) -> int:
    """The status that the client of one request got; 0: no answer."""
    plain, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": unquote(plain), "raw_path": plain.encode()}
    scope |= {"headers": [(b"x-api-key", key.encode())], "query_string": query.encode(), "root_path": ""}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    with suppress(ValueError):
        await app(scope, receive, send)
    return next((message["status"] for message in sent if "status" in message), 0)


def test_a_path_is_logged_as_it_came_without_its_query() -> None:
    routes = [Route("/api/v1/tickets/{id}", lambda http: Response(), methods=["GET"])]
    told, _ = ask(routes, "GET", "/api/v1/tickets/a%0Ab?api_key=right&x")
    assert told.path == "/api/v1/tickets/a%0Ab"
    told, _ = ask(routes, "GET", "/" + "x" * 100_000)
    assert len(told.path) == PATH_MAX


def test_an_answered_operation_is_recorded_with_nonce_and_sequence() -> None:
    async def consume(http: Request) -> Response:
        http.scope[NONCE] = b"scan-1"
        return Response(headers={SEQUENCE_HEADER: "12"})

    routes = [Route("/api/v1/tickets/consume", consume, methods=["POST"])]
    told, _ = ask(routes, "POST", "/api/v1/tickets/consume")
    assert (told.nonce, told.sequence) == ("scan-1", 12)
    told, _ = ask(routes, "GET", "/api/v1/tickets/consume")
    assert (told.nonce, told.sequence) == ("", 0)


@pytest.mark.parametrize(
    ("error", "status", "unforeseen"),
    [
        (ValueError("a bug"), 503, True),
        (ApiError(503, "starting", "The node is starting."), 503, False),
        (Unavailable("not now"), 503, False),
    ],
)
def test_only_unforeseen_errors_are_reported_as_faults(
    error: Exception, status: int, *, unforeseen: bool
) -> None:
    async def fail(http: Request) -> Response:
        raise error

    told, seen = ask([_route("/api/v1/stats", fail, "GET")], "GET", "/api/v1/stats")
    assert (told.status, told.unforeseen, seen) == (status, unforeseen, status)


def test_an_error_outside_our_routes_is_reported_as_a_fault_too() -> None:
    async def fail(http: Request) -> Response:
        raise ValueError("a bug")

    told, status = ask([Route("/css", fail)], "GET", "/css")
    assert (told.unforeseen, told.status, status) == (True, 500, 500)


@table(
    ("headers", "fits"),
    [
        ({}, False),
        ({"X-API-Key": "right"}, True),
        ({"X-API-Key": "wrong", "Authorization": "Bearer right"}, False),
        ({"X-API-Key": "", "Authorization": "Bearer right"}, True),
        ({"Authorization": "Bearer right"}, True),
        ({"Authorization": "bearer right"}, False),
        ({"Authorization": "right"}, False),
        ({"Authorization": "Bearer  right"}, False),
        ({"X-API-Key": "Right"}, False),
        ({"X-API-Key": "\xe4"}, False),
    ],
    count=10,
)
def test_c19_the_api_key_is_read_from_the_documented_headers(headers: dict[str, str], *, fits: bool) -> None:
    assert key_fits(Headers(headers), "right") is fits


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (Mode.PBFT, {"status": "healthy"}),
        (
            Mode.RAFT,
            {
                "status": "healthy",
                "consensus": "raft",
                "note": "crash-only: a lying member is not tolerated",
            },
        ),
    ],
)
def test_r44_health_is_exact_and_a_raft_cluster_adds_its_label(mode: Mode, told: dict[str, str]) -> None:
    service: Any = SimpleNamespace(healthy=True, genesis=g.agreeing_by(make_genesis(5), mode))
    answer = asyncio.run(Routes(service).health(Request({"type": "http"})))
    assert json.loads(answer.content) == told
