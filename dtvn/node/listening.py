"""The listening TCP socket of a web server, of a node's own API and of the platform, and the file descriptors
that a process's connections take."""

from __future__ import annotations

import resource
import socket
from contextlib import suppress

BACKLOG = 1_024
STALLED_CLIENT_MS = 30_000
"""A client that accepts no data for this long is disconnected: its data waits in our memory."""


def listen_on(host: str, port: int, *options: tuple[int, int]) -> socket.socket:
    """Listen on `host` ("": any address) and `port` (0: any free one). `options`: (name, value) of TCP
    options, which accepted connections inherit. Raise socket.gaierror for an unusable host, OSError for a
    port that is taken or not of this machine."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    # The protocol is set explicitly: asyncio disables Nagle's algorithm only on such sockets.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_CLIENT_MS)
        for name, value in options:
            listener.setsockopt(socket.IPPROTO_TCP, name, value)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def raise_file_limit(wanted: int) -> int:
    """Raise this process's limit of file descriptors to `wanted`, or as far as is allowed, if it is lower;
    returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # macOS allows less than its hard limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            return more
    return soft
