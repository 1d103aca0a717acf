"""A splice in this process's loop, listeners and diallers of it, over real sockets."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from nacl import bindings

from dtvn.net.splice import Limits, PortBook, Splice
from dtvn.net.splice_listener import SpliceListener
from dtvn.net.splice_report import SpliceReport
from dtvn.net.splice_wire import (
    Body,
    Challenge,
    Hello,
    Register,
    encoded,
    read_frame,
    registering,
)
from dtvn.protocol.scheme import ED25519
from tests.ports import LOOPBACK, ports_in_a_row
from tests.waiting import PATIENCE, until

GREETING = b"\xff" + 8 * b"\0" + b"\x7f"
"""What a ZeroMQ dialler sends first."""
SEED = bytes(31) + b"\x01"
COUNT = 4
"""Ports of a splice under test."""


def key_of(seed: bytes) -> bytes:
    return bindings.crypto_sign_seed_keypair(seed)[0]


def secret_of(seed: bytes) -> bytes:
    return bindings.crypto_sign_seed_keypair(seed)[1]


NODE = b"n" * 32
OTHER = b"o" * 32
STRANGER = b"s" * 32


def run(story: Coroutine[Any, Any, None]) -> None:
    """Play a story, which ends within the patience of all tests."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await story

    asyncio.run(bounded())


class Bench:
    """A splice that knows two nodes, and what happens around it."""

    def __init__(self, limits: Limits | None = None, ports: PortBook | None = None) -> None:
        self.said: list[str] = []
        self.allowed = {key_of(NODE): 0, key_of(OTHER): 0}
        low = ports_in_a_row(COUNT + 1)
        self.ports = ports or PortBook(low, low + COUNT - 1)
        self.port = low + COUNT
        self._limits = limits
        self.splice = self._make()
        self._running: list[asyncio.Task[Any]] = []
        self._servers: list[asyncio.Server] = []
        self._kept: list[asyncio.StreamWriter] = []

    def _make(self) -> Splice:
        return Splice(SEED, self.ports, lambda: self.allowed, limits=self._limits, tell=self.said.append)

    async def begin(self) -> None:
        await self.splice.begin(LOOPBACK, self.port)

    async def restart(self) -> None:
        await self.splice.close()
        self.splice = self._make()
        await self.begin()

    async def node(self, seed: bytes = NODE, *, local_port: int | None = None) -> SpliceListener:
        """A listener that is registered, before a node that echoes."""
        self.reports: list[SpliceReport] = []
        port = await self.echo() if local_port is None else local_port
        listener = SpliceListener(
            (LOOPBACK, self.port), key_of(SEED), seed, self.reports.append, local_port=port
        )
        self._running.append(asyncio.ensure_future(listener.run()))
        await until(lambda: bool(self.reports))
        return listener

    async def echo(self) -> int:
        """The port of a server that sends back what it gets."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._kept.append(writer)
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, LOOPBACK, 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def end_listeners(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    async def close(self) -> None:
        await self.end_listeners()
        await self.splice.close()
        for server in self._servers:
            server.close()
        for writer in self._kept:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._kept), return_exceptions=True)

    def keep(self, writer: asyncio.StreamWriter) -> None:
        """End this connection with the bench."""
        self._kept.append(writer)

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that ends with the bench."""
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        self._kept.append(writer)
        return reader, writer

    async def dial(self, seed: bytes = NODE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a node's port, as a stranger sees it: nothing is sent yet."""
        return await self.connect(self.splice.registered[key_of(seed)])

    async def register(
        self,
        seed: bytes,
        *,
        splice: bytes = b"",
        forge: Callable[[Register], Register] = lambda register: register,
    ) -> Body:
        """What the splice answers to a registration made by hand."""
        reader, writer = await self.connect(self.port)
        nonce = secrets.token_bytes(32)
        writer.write(encoded(Hello(nonce)))
        challenge = await read_frame(reader)
        assert isinstance(challenge, Challenge)
        said = registering(splice or key_of(SEED), challenge.nonce, nonce, key_of(seed), 0)
        register = Register(key_of(seed), 0, ED25519.sign(secret_of(seed), said))
        writer.write(encoded(forge(register)))
        return await read_frame(reader)


@asynccontextmanager
async def bench(limits: Limits | None = None, ports: PortBook | None = None) -> AsyncIterator[Bench]:
    """A splice that runs."""
    made = Bench(limits, ports)
    await made.begin()
    try:
        yield made
    finally:
        await made.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side closes, without a word."""
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


async def takes(seconds: float, what: Awaitable[Any]) -> Any:
    """What it gives, within these seconds."""
    async with asyncio.timeout(seconds):
        return await what
