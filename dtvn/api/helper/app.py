"""The routes."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dtvn.api.answers import Answer
from dtvn.api.errors import ApiError
from dtvn.api.helper.front import FAULT, PATTERN, Front
from dtvn.api.helper.responses import UNFORESEEN, describe, refusal, response_of
from dtvn.api.helper.routes import Handler, Routes
from dtvn.api.helper.service import Service
from dtvn.api.helper.sockets import Feed
from dtvn.machine.kinds import KINDS, OPERATIONS

TICKETS = "/api/v1/tickets"
mimetypes.add_type("text/javascript", ".js")  # browsers load modules with no other type


def build_app(service: Service) -> ASGIApp:
    """The whole application on a node's API port."""
    handlers, feed = Routes(service), Feed(service)
    issue = handlers.operation("issue")

    async def tickets(http: Request) -> Answer:
        return await (issue if http.method == "POST" else handlers.tickets)(http)

    gets: dict[str, Handler] = {
        "/health": handlers.health,
        "/live": handlers.live,
        "/ready": handlers.ready,
        f"{TICKETS}/{{id}}": handlers.ticket,
        "/api/v1/status": handlers.status,
        "/api/v1/stats": handlers.stats,
        "/api/v1/peers": handlers.peers,
        "/api/v1/config": handlers.config,
        "/api/v1/consensus/logs": handlers.logs,
        "/api/v1/node/crypto": handlers.crypto,
        "/api/v1/storage/entries": handlers.storage,
        "/ws": _no_upgrade,
    }
    routes: list[BaseRoute] = [
        *(
            _route(KINDS[name].path, handlers.operation(name), "POST")
            for name in OPERATIONS
            if KINDS[name].path != TICKETS
        ),
        _route(TICKETS, tickets, "GET", "POST"),
        *(_route(path, handler, "GET") for path, handler in gets.items()),
        WebSocketRoute("/ws", feed.serve),
        *_page(service.setup.options.static),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    app.router.redirect_slashes = False
    return Front(app, service.setup.options, service.answered, routes)


def _route(pattern: str, handler: Handler, *methods: str) -> Route:
    """A route that counts requests under its pattern and never raises."""

    async def answer(http: Request) -> Response:
        http.scope[PATTERN] = pattern
        try:
            answer = await handler(http)
        except Exception as error:  # noqa: BLE001 - answered, and logged if unexpected
            described = describe(error)
            http.scope[FAULT] = described.code == UNFORESEEN
            return refusal(described)
        return response_of(answer) if isinstance(answer, Answer) else answer

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


async def _no_upgrade(http: Request) -> Answer:
    raise ApiError(400, "bad_request", "This path accepts only WebSocket connections.")


async def _refused(http: Request, error: Exception) -> Response:
    """404 and 405 of the router, as JSON."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    headers = (error.headers if isinstance(error, HTTPException) else None) or {}
    if status == 404:
        return refusal(ApiError(404, "not_found", "Nothing was found at this path."))
    if status == 405:
        allow = ", ".join(sorted({*headers.get("Allow", "").split(", ")} - {"HEAD"}))
        sentence = f"{http.method} is not allowed for this path."
        return refusal(ApiError(405, "method_not_allowed", sentence, headers={"Allow": allow}))
    return refusal(ApiError(status, "bad_request", "The request could not be parsed.", headers=headers))
