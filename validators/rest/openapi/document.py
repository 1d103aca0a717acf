"""Builds the OpenAPI document."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from dtvn import __version__
from dtvn.api.connections import READ
from validators.rest.openapi import answers, bodies, events, shapes
from validators.rest.openapi.routes import Route, routes

DESCRIPTION = (
    "Every route of the platform. Validator routes answer in an envelope, the platform's own bare. Each "
    "answer carries X-DTVN-Sequence: the log sequence that it reflects. Integers are written without a "
    "fraction. An Idempotency-Key beside a nonce is the same. Before any route, the server answers with an "
    f"Error: 408 to a request that is not complete after {READ:.0f} s, 431 to headers that are too long."
)
SECURITY = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "The name ends with an underscore and eight characters of the platform.",
    },
}
JSON = "application/json"
REFUSALS = {
    status.name: {"description": status.phrase, "content": {JSON: {"schema": shapes.reference("Error")}}}
    for status in HTTPStatus
    if status in (400, 401, 403, 404, 409, 413, 422, 429, 503, 504, 507)
}
MEDIA = {
    ("GET", "/metrics"): "text/plain",
    ("GET", "/api/v1/simulator/runs/{run_id}/trace"): "application/gzip",
    **events.MEDIA,
}
NO_KEY = frozenset({"/health", "/live", "/ready", "/api/v1/", "/api/v1/openapi.json"})
ALWAYS = frozenset({"/health", "/live", "/api/v1/"})
"""Routes that answer 200 while the process runs."""
WITH_IDEMPOTENCY = (
    "/api/v1/tickets",
    "/api/v1/events/{slug}",
    "/api/v1/members",
    "/api/v1/parameters",
    "/api/v1/principals",
)
NOT_ONE_OPERATION = ("/batch", "/find")
ACCEPTED_LATER = ("/api/v1/members", "/api/v1/parameters")
"""Writes below these paths may be answered with 202: accepted, not yet done."""


def document() -> dict[str, Any]:
    """OpenAPI 3.1, as JSON values in a fixed order."""
    paths: dict[str, Any] = {}
    for route in routes():
        paths.setdefault(route.path, {}).update(
            {method.lower(): _operation(route, method) for method in route.methods}
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DTVN",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SECURITY],
        "paths": paths,
        "components": {
            "schemas": shapes.SCHEMAS | answers.SCHEMAS | events.SCHEMAS | bodies.components(routes()),
            "responses": REFUSALS,
            "securitySchemes": SECURITY,
        },
    }


def statuses(route: Route, method: str) -> list[int]:
    """Possible statuses of a call, besides the 405 for a method that does not exist."""
    if route.path in ALWAYS:
        return [200]
    if route.path in NO_KEY:
        return [200, 401, 403, 503]
    found = {201 if (method, route.path) in events.CREATES else 200, 401}
    for wanted, start, also in (*events.STATUSES, *shapes.STATUSES):
        if wanted in ("", method) and route.path.startswith(start):
            found |= set(also)
            break
    if method in getattr(route.view, "scopes", {}) or route.path.endswith("/batch"):
        found.add(403)
    if method != "GET" and route.path.startswith(ACCEPTED_LATER) and not route.path.endswith("/preview"):
        found.add(202)
    return sorted(found)


def _operation(route: Route, method: str) -> dict[str, Any]:
    scope = getattr(route.view, "scopes", {}).get(method)
    told: dict[str, Any] = {
        "operationId": _name(route, method),
        "tags": [_tag(route)],
        "summary": _summary(route, method),
    }
    if parameters := _parameters(route, method):
        told["parameters"] = parameters
    if (body := bodies.schema(route, method)) is not None:
        told["requestBody"] = {
            "required": bodies.is_required(route, method),
            "content": {_taken(method, route.path): {"schema": body} | _example(method, route.path)},
        }
    told["responses"] = {str(status): _response(route, method, status) for status in statuses(route, method)}
    if route.path in NO_KEY:
        told["security"] = []
    if scope is not None:
        told["x-scope"] = scope
    return told


def _taken(method: str, path: str) -> str:
    """Media type of a request body."""
    return events.NDJSON if (method, path) in events.TEXT_BODIES else JSON


def _example(method: str, path: str) -> dict[str, Any]:
    body = (shapes.EXAMPLES | events.EXAMPLES).get((method, path))
    return {} if body is None else {"example": body}


def _response(route: Route, method: str, status: int) -> dict[str, Any]:
    if status >= 400:
        return {"$ref": f"#/components/responses/{HTTPStatus(status).name}"}
    media = MEDIA.get((method, route.path), JSON)
    return {
        "description": HTTPStatus(status).phrase,
        "content": {media: {"schema": (answers.ANSWERS | events.ANSWERS)[method, route.path]}},
    }


def _parameters(route: Route, method: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": kind} | shapes.PATH_PARAMETERS.get(name, {}),
        }
        for name, kind in route.parameters.items()
    ]
    found += [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in (shapes.QUERIES | events.QUERIES).get((method, route.path), {}).items()
    ]
    if method == "GET" and route.path in shapes.READS_OF_THE_COPY:
        found.append({"name": "X-DTVN-Min-Sequence", "in": "header", "schema": shapes.MIN_SEQUENCE})
    if (
        method != "GET"
        and route.path.startswith(WITH_IDEMPOTENCY)
        and not route.path.endswith(NOT_ONE_OPERATION)
    ):
        found.append({"name": "Idempotency-Key", "in": "header", "schema": shapes.NONCE})
    return found


def _words(route: Route) -> Sequence[str]:
    return [part for part in route.path.removeprefix("/api/v1").split("/") if part] or ["index"]


def _tag(route: Route) -> str:
    return _words(route)[0] if route.path.startswith("/api/v1") else "platform"


def _name(route: Route, method: str) -> str:
    parts = [part.strip("{}") for part in _words(route)]
    return "_".join([method.lower(), *parts]).replace(".", "_")


def _summary(route: Route, method: str) -> str:
    """The summary in the table, else the first paragraph of the handler's docstring."""
    if known := shapes.SUMMARIES.get((method, route.path)):
        return known
    handler = getattr(route.view, method.lower()) if isinstance(route.view, type) else route.view
    return " ".join((inspect.getdoc(handler) or "").split("\n\n")[0].split())
