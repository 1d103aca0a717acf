"""Serves an ASGI application over HTTP until it is stopped: what the commands that listen share."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    import socket

    import uvicorn

SHUTDOWN_SECONDS = 3


def add_options(parser: argparse.ArgumentParser, *, port: int, streams: int) -> None:
    """Add where and to whom a server answers; `port` and `streams` are the defaults."""
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=port, help=f"0 chooses a free one (default: {port})")
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name under which clients ask, besides addresses, localhost and --host; * for any",
    )
    parser.add_argument(
        "--streams",
        type=count,
        default=streams,
        metavar="N",
        help=f"requests that are answered at once (default: {streams})",
    )


def require() -> None:
    """Raise ImportError if what serves is not installed: it comes with the extra `events`."""
    import uvicorn  # noqa: F401


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 chooses a free one. Raises OSError, OverflowError."""
    import socket

    if not 0 <= port < 65_536:
        raise OverflowError(f"port {port} is not from 0 to 65535")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise OSError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None


def address_of(listener: socket.socket) -> str:
    """The http address at which it is asked."""
    host, port = listener.getsockname()[:2]
    where = f"[{host}]" if ":" in host else host
    return f"http://{where}:{port}"


def names(host: str) -> list[str]:
    """The name at which a server listens, if it is one; addresses are always answered."""
    return [] if ":" in host or host.replace(".", "").isdecimal() else [host]


def count(text: str) -> int:
    """The value of an option that says how many requests are answered at once."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1")
    return number


def serving(app: Any, shutdown_seconds: int = SHUTDOWN_SECONDS) -> uvicorn.Config:
    """How it is served. `shutdown_seconds`: how long streams go on after it was told to stop."""
    import uvicorn

    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # no client says where it comes from
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=shutdown_seconds,
    )


def serve(app: Any, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    import logging

    import uvicorn

    logging.getLogger("uvicorn.error").addFilter(_not_broken_off)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(serving(app)).run(sockets=[listener])


def _not_broken_off(record: logging.LogRecord) -> bool:
    """False for a truncated answer of an agent: it is passed on truncated, and what is printed says so."""
    return "without completing response" not in record.getMessage()
