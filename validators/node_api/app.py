"""The routes (spec 1.2)."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from validators.node_api.answers import UNFORESEEN, Problem, failure, problem_of
from validators.node_api.front import FAULT, PATTERN, Front
from validators.node_api.reads import Reads
from validators.node_api.service import Service, origins
from validators.node_api.sockets import Feed
from validators.node_api.writes import operation

__all__ = ["build_app"]

Handler = Callable[[Request], Awaitable[Response]]

TICKETS = "/api/v1/tickets"
OPERATIONS = ("validate", "consume", "dispute", "seed", "admit", "resolve")
mimetypes.add_type("text/javascript", ".js")  # browsers load modules with no other type (spec 9)


def build_app(service: Service) -> ASGIApp:
    """The whole application on a node's API port."""
    reads, feed = Reads(service), Feed(service)
    issue = operation(service, "issue")

    async def tickets(http: Request) -> Response:
        return await (issue if http.method == "POST" else reads.tickets)(http)

    gets: dict[str, Handler] = {
        "/health": reads.health,
        f"{TICKETS}/{{id}}": reads.ticket,
        "/api/v1/status": reads.status,
        "/api/v1/stats": reads.stats,
        "/api/v1/peers": reads.peers,
        "/api/v1/config": reads.config,
        "/api/v1/consensus/logs": reads.logs,
        "/api/v1/node/crypto": reads.crypto,
        "/api/v1/storage/entries": reads.storage,
        "/ws": _no_upgrade,
    }
    routes: list[BaseRoute] = [
        *(_route(f"{TICKETS}/{kind}", operation(service, kind), "POST") for kind in OPERATIONS),
        _route(TICKETS, tickets, "GET", "POST"),
        *(_route(path, handler, "GET") for path, handler in gets.items()),
        WebSocketRoute("/ws", feed.serve),
        *_page(service.setup.options.static),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    app.router.redirect_slashes = False
    return Front(app, service.setup.options, origins(), service.answered, routes)


def _route(pattern: str, handler: Handler, *methods: str) -> Route:
    """A route that counts requests under its pattern and never raises."""

    async def answer(http: Request) -> Response:
        http.scope[PATTERN] = pattern
        try:
            return await handler(http)
        except Exception as error:  # noqa: BLE001 - answered, and logged if unexpected
            problem = problem_of(error)
            http.scope[FAULT] = problem.code == UNFORESEEN
            return failure(problem)

    return Route(pattern, answer, methods=list(methods))


def _page(folder: str) -> list[BaseRoute]:
    """Routes for a page's files, if its folder exists."""
    root = Path(folder)
    if not folder or not (root / "index.html").is_file():
        return []

    async def index(http: Request) -> Response:
        return FileResponse(root / "index.html")

    async def moved(http: Request) -> Response:
        return RedirectResponse("./", 301)

    return [
        _route("/", index, "GET"),
        _route("/index.html", moved, "GET"),
        *(
            Mount(f"/{part}", StaticFiles(directory=root / part))
            for part in ("css", "js")
            if (root / part).is_dir()
        ),
    ]


async def _no_upgrade(http: Request) -> Response:
    raise Problem(400, "bad_request", "This is a WebSocket.")


async def _refused(http: Request, error: Exception) -> Response:
    """404 and 405 of the router, as JSON."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    headers = (error.headers if isinstance(error, HTTPException) else None) or {}
    if status == 404:
        return failure(Problem(404, "not_found", "There is nothing at this path."))
    if status == 405:
        allow = ", ".join(sorted({*headers.get("Allow", "").split(", ")} - {"HEAD"}))
        return failure(
            Problem(405, "method_not_allowed", f"{http.method} is not for this path.", {"Allow": allow})
        )
    return failure(Problem(status, "bad_request", "The request cannot be read.", headers))
