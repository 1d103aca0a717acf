"""The process of a node's API: started by `dtvn.node.api_helper`, ended with its node."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

import uvicorn
from setproctitle import setproctitle
from starlette.types import ASGIApp

from dtvn.api.connections import CONNECTIONS_MAX, connections_within
from dtvn.api.helper.app import build_app
from dtvn.api.helper.deadlines import IDLE, TimedProtocol
from dtvn.api.helper.ledger import OpenReader
from dtvn.api.helper.service import Service
from dtvn.node.api_channel import Answered, Channel, Counted, Setup, Status, Stop
from dtvn.node.json_lines import JsonLines
from dtvn.node.log_limit import limit

GRACE = 2
"""Seconds to finish requests in progress once the node asks this process to stop."""
TELL_EVERY = 0.1
TELL_SPACE = 0.01
"""Minimum seconds between two reports of request counts to the node, which exports them as metrics;
TELL_EVERY is the maximum."""
PULSE = 1.0
"""Seconds after which an empty report is sent: a helper that is silent for long is killed."""
ANSWERED_MAX = 20_000
"""Answers recorded for a node that reads none (because it is paused, say); beyond, the oldest are not
counted."""
SOCKET_FRAME_MAX = 64 * 1024


class _Server(uvicorn.Server):
    """Stopped by the node, not by signals: Ctrl-C reaches the whole process group, and the node decides."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(open_reader: OpenReader) -> None:
    """Serve until the node requests a stop or is gone. `open_reader` opens the node's ledger."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    listener = socket.socket(fileno=int(sys.argv[2]))
    messages = channel.receive()
    setup = next(messages, None)
    if not isinstance(setup, Setup):
        return
    setproctitle(f"dtvn api {setup.node} ({setup.folder})")
    logging.basicConfig(format=f"%(levelname)s api {setup.node}: %(message)s", level=logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(limit)
        if setup.json_logs:
            handler.setFormatter(JsonLines({"node": setup.node}))
    TimedProtocol.connections_max = connections_within(CONNECTIONS_MAX)
    service = Service(setup, open_reader)
    server = _Server(_configuration(build_app(service)))
    threading.Thread(target=_heed, args=(messages, service, server), name="node", daemon=True).start()
    asyncio.run(_serve(channel, listener, service, server))
    os._exit(0)


def _configuration(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        http=TimedProtocol,
        ws="websockets-sansio",
        ws_max_size=SOCKET_FRAME_MAX,
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
        proxy_headers=False,
    )


def _heed(messages: Iterator[object], service: Service, server: uvicorn.Server) -> None:
    for message in messages:
        if isinstance(message, Status):
            service.heard(message.fields)
        elif isinstance(message, Stop):
            server.should_exit = True
    if not server.should_exit:
        os._exit(0)  # the node is gone, so this process must no longer answer for it


async def _serve(channel: Channel, listener: socket.socket, service: Service, server: uvicorn.Server) -> None:
    telling = asyncio.create_task(_tell(channel, service))
    await server.serve(sockets=[listener])
    telling.cancel()


async def _tell(channel: Channel, service: Service) -> None:
    said, faults, told_at = 0, 0, 0.0
    answered: tuple[Answered, ...] = ()
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(service.news.wait(), TELL_EVERY)
        service.news.clear()
        answered = (answered + service.take_answered())[-ANSWERED_MAX:]
        faults += service.take_faults()
        now = asyncio.get_running_loop().time()
        news = answered or faults or said != service.sockets or now - told_at >= PULSE / 2
        if news and channel.send(Counted(answered, service.sockets, faults)):
            said, answered, faults, told_at = service.sockets, (), 0, now
        await asyncio.sleep(TELL_SPACE)
