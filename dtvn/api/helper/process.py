"""The process of a node's API: started by `dtvn.node.api_helper`, ended with its node."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

import uvicorn
from setproctitle import setproctitle
from starlette.types import ASGIApp

from dtvn.api.connections import CONNECTIONS_MAX, connections_within
from dtvn.api.helper.app import build_app
from dtvn.api.helper.bounded_socket import BoundedSocket
from dtvn.api.helper.deadlines import IDLE, TimedProtocol
from dtvn.api.helper.ledger import OpenReader
from dtvn.api.helper.service import Service
from dtvn.log_limit import limit
from dtvn.node.api_channel import Answered, Channel, Counted, Setup, Status, Stop
from dtvn.node.json_lines import JsonLines

logger = logging.getLogger("dtvn.node_api")

GRACE = 2
"""Seconds to finish requests in progress once the node asks this process to stop."""
TELL_SPACE = 0.01
"""Seconds of pause after a report with new request counts; the node exports them as metrics."""
REPORT_INTERVAL_MAX = 0.5
"""Seconds after which an empty report is sent: a helper that is silent for long is killed."""
DATE_INTERVAL = 1.0
"""Seconds between two updates of the Date header."""
ANSWERED_MAX = 20_000
"""Answers recorded for a node that reads none (because it is paused, say); beyond, the oldest are not
counted."""
SOCKET_FRAME_MAX = 64 * 1024


class _Server(uvicorn.Server):
    """Stopped by the node, not by signals: Ctrl-C reaches the whole process group, and the node decides.

    uvicorn itself looks ten times a second whether it should exit.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        """See uvicorn.Server."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            await _set_within(DATE_INTERVAL, self._stop)

    def stop(self) -> None:
        """End in order; called by another thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


def main(open_reader: OpenReader, channel_end: int, listening: int) -> None:
    """Serve until the node requests a stop or is gone. `open_reader` opens the node's ledger; the descriptors
    are of the channel to the node and of the listening socket."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=channel_end))
    listener = socket.socket(fileno=listening)
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
        ws=BoundedSocket,
        ws_max_size=SOCKET_FRAME_MAX,
        ws_per_message_deflate=False,  # a few bytes could become a long message
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
        proxy_headers=False,
    )


def _heed(messages: Iterator[object], service: Service, server: _Server) -> None:
    try:
        for message in messages:
            if isinstance(message, Status):
                service.heard(message.fields)
            elif isinstance(message, Stop):
                server.stop()
    except Exception:
        logger.exception("the API's helper ends, and its node starts another one")
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
        woken = await _set_within(REPORT_INTERVAL_MAX, service.news)
        service.news.clear()
        answered = (answered + service.take_answered())[-ANSWERED_MAX:]
        faults += service.take_faults()
        now = asyncio.get_running_loop().time()
        news = answered or faults or said != service.sockets or now - told_at >= REPORT_INTERVAL_MAX
        if news and channel.send(Counted(answered, service.sockets, faults)):
            said, answered, faults, told_at = service.sockets, (), 0, now
        if woken:
            await asyncio.sleep(TELL_SPACE)


async def _set_within(seconds: float, event: asyncio.Event) -> bool:
    """Wait until `event` is set, at most `seconds`; return whether it is. (`asyncio.wait_for` makes a task in
    Python 3.11.)"""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False
