"""The listener's side of a splice: a small process beside a node that cannot be dialled.

    python -m dtvn.net.splice_listener HOST PORT SPLICE-KEY KEY-FILE WANTED-PORT

It registers the node's key at the splice, and pipes each dialler to the node's own port on 127.0.0.1. It says
on standard output, a JSON object a line, where the node is reached (`host`, `port`) or why it is not
(`trouble`). It reads on standard input the local port to pipe to, a line each time it changes, and ends when
standard input does: with its node, however that ends. (dtvn.node.via starts it.)
"""

from __future__ import annotations

import asyncio
import random
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec
from nacl import bindings

from dtvn.net.keyfile import read_seed
from dtvn.net.splice_pipe import Stream, connect, join
from dtvn.net.splice_report import SpliceReport
from dtvn.net.splice_wire import (
    NONCE_SIZE,
    Challenge,
    Data,
    Declined,
    Hello,
    Open,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    SpliceError,
    connecting,
    encoded,
    granting,
    read_frame,
    registering,
)
from dtvn.protocol.scheme import ED25519

HANDSHAKE = 5.0
SILENCE = 6.0
"""Seconds without a ping, three of which the splice sends meanwhile, after which the connection is dead."""
IDLE = 60.0
"""Seconds: longer than the splice's own, which decides."""
BACK_OFF, BACK_OFF_MAX = 0.2, 5.0
"""Seconds before the first and before a late attempt to register again, halved by chance."""
PIPES_MAX = 256


class SpliceListener:
    """Registers a key at a splice, again and again. `local_port`: where the node listens; 0: nowhere yet."""

    def __init__(
        self,
        splice: tuple[str, int],
        splice_key: bytes,
        seed: bytes,
        report: Callable[[SpliceReport], None],
        *,
        wanted: int = 0,
        local_port: int = 0,
    ) -> None:
        self._splice, self._splice_key, self._report = splice, splice_key, report
        self._key, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self._wanted = wanted
        self.local_port = local_port
        self._pipes: set[asyncio.Task[None]] = set()

    async def run(self) -> NoReturn:
        """Register, and serve while that lasts; repeat with growing pauses."""
        pause = BACK_OFF
        while True:
            since = asyncio.get_running_loop().time()
            try:
                await self._registered()
            except TimeoutError:
                trouble = "the splice does not answer"
            except (SpliceError, OSError) as error:
                trouble = str(error)
            self._report(SpliceReport(trouble=trouble))
            if asyncio.get_running_loop().time() - since > 2 * BACK_OFF_MAX:
                pause = BACK_OFF
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts
            pause = min(2 * pause, BACK_OFF_MAX)

    async def _registered(self) -> NoReturn:
        """One registration, until its connection fails."""
        async with asyncio.timeout(HANDSHAKE):
            control = await connect(*self._splice)
        try:
            async with asyncio.timeout(HANDSHAKE):
                self._report(await self._introduce(control))
            while True:
                async with asyncio.timeout(SILENCE):
                    frame = await read_frame(control.reader)
                if isinstance(frame, Ping):
                    control.writer.write(encoded(Pong()))
                    await control.writer.drain()
                elif isinstance(frame, Open):
                    self._open(frame.token, control)
                else:
                    raise SpliceError("the splice sent a frame that does not belong here")
        finally:
            control.drop()

    async def _introduce(self, control: Stream) -> SpliceReport:
        """Prove the key; returns where the node is reached. Raise SpliceError if the splice refuses, or is
        another one than it should be."""
        nonce = secrets.token_bytes(NONCE_SIZE)
        control.writer.write(encoded(Hello(nonce)))
        challenge = await read_frame(control.reader)
        if not isinstance(challenge, Challenge):
            raise SpliceError("the splice sent no challenge")
        said = registering(self._splice_key, challenge.nonce, nonce, self._key, self._wanted)
        signature = ED25519.sign(self._secret, said)
        control.writer.write(encoded(Register(self._key, self._wanted, signature)))
        granted = await read_frame(control.reader)
        if isinstance(granted, Refused):
            raise SpliceError(f"the splice refused ({granted.code}): {granted.text}")
        if not isinstance(granted, Registered):
            raise SpliceError("the splice did not register this node")
        said = granting(challenge.nonce, nonce, self._key, granted.host, granted.port)
        if not ED25519.verify(self._splice_key, said, granted.signature):
            raise SpliceError(
                "another splice answers at this address: its key is not the one in the multiaddr"
            )
        self._wanted = granted.port
        here = granted.host or str(control.writer.get_extra_info("peername")[0])
        return SpliceReport(host=here, port=granted.port)

    def _open(self, token: bytes, control: Stream) -> None:
        if not self.local_port or len(self._pipes) >= PIPES_MAX:
            control.writer.write(encoded(Declined(token)))
            return
        task = asyncio.ensure_future(self._pipe(token, control))
        self._pipes.add(task)
        task.add_done_callback(self._pipes.discard)

    async def _pipe(self, token: bytes, control: Stream) -> None:
        """Connect back to the splice and to the node, and join the two."""
        ends: list[Stream] = []
        try:
            async with asyncio.timeout(HANDSHAKE):
                ends.append(await connect("127.0.0.1", self.local_port))
                ends.append(await connect(*self._splice))
        except (TimeoutError, OSError):
            for end in ends:
                end.drop()
            with suppress(OSError):
                control.writer.write(encoded(Declined(token)))
            return
        node, splice = ends
        signature = ED25519.sign(self._secret, connecting(self._splice_key, self._key, token))
        splice.writer.write(encoded(Data(token, signature)))
        await join(node, splice, idle=IDLE)


async def serve(listener: SpliceListener) -> None:
    """Run until standard input ends."""
    words = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    running = asyncio.ensure_future(listener.run())
    while line := await words.readline():
        listener.local_port = int(line)
    running.cancel()


def _say(report: SpliceReport) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def main(words: list[str]) -> None:
    """The program."""
    host, port, splice_key, key_file, wanted = words
    seed = read_seed(Path(key_file))
    listener = SpliceListener((host, int(port)), bytes.fromhex(splice_key), seed, _say, wanted=int(wanted))
    asyncio.run(serve(listener))


if __name__ == "__main__":
    main(sys.argv[1:])
