"""What passes the front of a node's API: keys and origins (spec 1.6, 2; C19, C21, X41)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Route

from validators.node.options import ApiOptions
from validators.node_api.front import Front, key_fits
from validators.node_api.origins import allowed_origin


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
def test_c21_whose_pages_may_speak(origin: str | None, *, fits: bool) -> None:
    assert allowed_origin(origin, "node:8080", " http://named.example ,, http://b") is fits


def test_c21_nobody_is_named_by_nothing() -> None:
    assert not allowed_origin("", "", "")
    assert not allowed_origin("http://evil.example", "", ",")


@pytest.mark.parametrize(
    ("method", "path", "key", "told"),
    [
        ("GET", "/api/v1/tickets/T-1", "", ("GET", "/api/v1/tickets/{id}", 401)),
        ("OPTIONS", "/api/v1/tickets/T-1", "", ("OPTIONS", "/api/v1/tickets/{id}", 200)),
        ("PUT", "/api/v1/tickets/T-1", "right", ("PUT", "/api/v1/tickets/{id}", 405)),
        ("GET", "/api/v1/nope", "right", ("GET", "other", 404)),
        ("GET", "/api/v1/nope", "", ("GET", "other", 401)),
    ],
)
def test_what_no_route_answered_is_counted_under_the_route_of_its_path(
    method: str, path: str, key: str, told: tuple[str, str, int]
) -> None:
    routes = [Route("/api/v1/tickets/{id}", lambda http: Response(), methods=["GET"])]
    counted: list[tuple[str, str, int]] = []
    front = Front(
        Starlette(routes=routes),
        ApiOptions(port=0, key="right"),
        "",
        lambda method, endpoint, status, seconds: counted.append((method, endpoint, status)),
        routes,
    )
    scope = {"type": "http", "method": method, "path": path, "headers": [(b"x-api-key", key.encode())]}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(front(scope | {"query_string": b"", "root_path": ""}, receive, send))
    assert counted == [told]
    assert sent[0]["status"] == told[2]


@pytest.mark.parametrize(
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
)
def test_c19_which_header_counts(headers: dict[str, str], *, fits: bool) -> None:
    assert key_fits(Headers(headers), "right") is fits
