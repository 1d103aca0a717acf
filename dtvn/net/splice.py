"""A splice: where nodes that cannot be dialled are dialled (R45). It passes on ciphertext only.

A listener dials out to the splice, proves its key, and gets a port of its own there, the same one for ever. A
connection to that port is announced to the listener, which connects back with a token; the splice then joins
the two. CURVE runs from end to end, so the splice learns who listens, the addresses of who dials, times and
sizes. It can cut and delay; it can neither read, alter nor forge a frame.

Diallers need nothing: ZeroMQ connects to a host and a port. A dialler's first ten bytes must be ZMTP's
signature (ZMTP 3.1, RFC 37), so that a port scanner does not reach a node.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import msgspec
from nacl import bindings

from dtvn.net.splice_limits import SAID_BURST, Buckets, Limits, network_of
from dtvn.net.splice_pipe import CHUNK, Stream, join
from dtvn.net.splice_ports import NoPort, PortBook
from dtvn.net.splice_wire import (
    NONCE_SIZE,
    Body,
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

__all__ = ["Figures", "Limits", "PortBook", "Splice"]

BACKLOG = 128
ZMTP_SIGNATURE = 10
"""Bytes; the first is 0xFF and the last 0x7F."""
CONTROL_WAITING_MAX = 65_536
"""Bytes for a listener that wait to be sent; over that it is too slow to be told of another dialler."""


class Figures(msgspec.Struct):
    """What a splice did since its start."""

    registrations: int = 0
    splices: int = 0
    bytes: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    """By code: of registrations and of diallers."""


class _NotAdmitted(SpliceError):
    """A registration that is refused: `code`, and why as a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Session:
    """One listener that is registered now."""

    def __init__(self, key: bytes, port: int, control: Stream) -> None:
        self.key, self.port, self.control = key, port, control
        self.server: asyncio.Server | None = None

    def tell(self, body: Body) -> bool:
        """Send a frame; False if too much waits."""
        writer = self.control.writer
        if writer.is_closing() or writer.transport.get_write_buffer_size() > CONTROL_WAITING_MAX:
            return False
        writer.write(encoded(body))
        return True

    def end(self) -> None:
        """Close its port at once, and the registration; its splices go on."""
        if self.server is not None:
            self.server.close()
        self.control.drop()


class Splice:
    """Runs in the loop that calls `begin`. `allowed`: the keys that may register, asked each time, with the
    port that the operator wants for a key (0: any)."""

    def __init__(
        self,
        seed: bytes,
        ports: PortBook,
        allowed: Callable[[], Mapping[bytes, int]],
        *,
        public: str = "",
        limits: Limits | None = None,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """`seed`: its own Ed25519 seed. `public`: IP address at which diallers reach it, "" for that at which
        listeners do. `tell`: receives a line about what happens."""
        self.key, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self._ports, self._allowed, self._public, self._tell = ports, allowed, public, tell
        self._limits = limits or Limits()
        self._host = ""
        self._server: asyncio.Server | None = None
        self._sessions: dict[bytes, _Session] = {}
        self._waiting: dict[bytes, tuple[bytes, asyncio.Future[Stream]]] = {}
        self._arrivals: set[asyncio.Task[None]] = set()
        """Tasks of connections to the port of registrations."""
        self._tasks: dict[asyncio.Task[None], bytes] = {}
        """Tasks of diallers, with the key that they dial."""
        self._handshakes: Counter[str] = Counter()
        self._open: Counter[bytes | str] = Counter()
        """Splices and those that begin, by key and by address of the dialler."""
        self._failures = Buckets(self._limits.failures_a_second, self._limits.failures_burst)
        self._dials = Buckets(self._limits.dials_a_second, self._limits.dials_burst)
        rate = self._limits.bytes_a_second
        self._bytes = Buckets(rate, rate * SAID_BURST)
        self.figures = Figures()

    async def begin(self, host: str, port: int) -> int:
        """Listen for registrations; returns the port. Raise OSError."""
        self._host = host
        self._server = await asyncio.start_server(
            self._arrived, host, port, limit=CHUNK, backlog=BACKLOG, reuse_address=True
        )
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def registered(self) -> dict[bytes, int]:
        """The keys of present listeners, with their ports."""
        return {key: session.port for key, session in self._sessions.items()}

    @property
    def splices(self) -> int:
        """Connections that are joined now, or about to be."""
        return len(self._tasks)

    async def close(self) -> None:
        """End everything at once."""
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions.values()):
            session.end()
        self._sessions.clear()
        tasks = [*self._arrivals, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- listeners -------------------------------------------------------------------------------

    async def _arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection to the port of registrations."""
        task: asyncio.Task[None] = asyncio.current_task()  # type: ignore[assignment] # we are in one
        self._arrivals.add(task)
        try:
            await self._met(Stream(reader, writer))
        except asyncio.CancelledError:  # the splice ends
            writer.transport.abort()
        finally:
            self._arrivals.discard(task)

    async def _met(self, stream: Stream) -> None:
        """The connection has a moment to say what it is; then it is a registration, or served already."""
        address = _address(stream.writer)
        failures = self._failures.of(address, asyncio.get_running_loop().time())
        if (
            self._handshakes.total() >= self._limits.handshakes
            or self._handshakes[address] >= max(1, self._limits.handshakes // 4)
            or failures.is_empty(asyncio.get_running_loop().time())
        ):
            self.figures.refused["handshakes"] += 1
            await stream.close()
            return
        session, failure = None, ""
        try:
            with _counted(self._handshakes, address):
                async with asyncio.timeout(self._limits.handshake):
                    session = await self._introduced(stream)
        except TimeoutError:
            failure = "slow"
        except _NotAdmitted as error:
            failure = error.code
        except (SpliceError, OSError):
            failure = "malformed"
        if failure:
            self.figures.refused[failure] += 1
            failures.allows(asyncio.get_running_loop().time())
        if session is not None:
            await self._hold(session)

    async def _introduced(self, stream: Stream) -> _Session | None:
        """The session of a listener that proved its key; None: the connection has served or was refused."""
        try:
            first = await read_frame(stream.reader)
            if isinstance(first, Data):
                self._connected_back(first, stream)
                return None
            if not isinstance(first, Hello):
                raise SpliceError("neither a registration nor a connection back")
            nonce = secrets.token_bytes(NONCE_SIZE)
            stream.writer.write(encoded(Challenge(nonce)))
            register = await read_frame(stream.reader)
            if not isinstance(register, Register):
                raise SpliceError("no registration")
            session = await self._admitted(register, nonce, first.nonce, stream)
            said = granting(nonce, first.nonce, register.key, self._public, session.port)
            signature = ED25519.sign(self._secret, said)
            session.tell(Registered(self._public, session.port, signature))
        except _NotAdmitted as error:
            stream.writer.write(encoded(Refused(error.code, str(error))))
            await stream.close()
            raise
        except BaseException:
            stream.drop()
            raise
        return session

    async def _admitted(self, register: Register, nonce: bytes, theirs: bytes, stream: Stream) -> _Session:
        """A session with a port, which replaces the one that the key has: the node began again before the
        splice noticed its end. Raise _NotAdmitted."""
        said = registering(self.key, nonce, theirs, register.key, register.wanted)
        if not ED25519.verify(register.key, said, register.signature):
            raise _NotAdmitted("bad_signature", "the signature is not of that key for this registration")
        allowed = self._allowed()
        if register.key not in allowed:
            raise _NotAdmitted("not_allowed", "the splice's operator must allow this key first")
        pinned = {key: port for key, port in allowed.items() if port}
        try:
            port = self._ports.assign(register.key, register.wanted, allowed, pinned)
        except NoPort as error:
            raise _NotAdmitted("no_port", str(error)) from error
        if (former := self._sessions.pop(register.key, None)) is not None:
            former.end()
        session = self._sessions[register.key] = _Session(register.key, port, stream)
        try:
            session.server = await asyncio.start_server(
                lambda reader, writer: self._dialled(session, Stream(reader, writer)),
                self._host,
                port,
                limit=CHUNK,
                backlog=BACKLOG,
                reuse_address=True,
            )
        except OSError as error:
            self._forget(session)
            raise _NotAdmitted("port_taken", f"port {port} cannot be opened: {error.strerror}") from error
        except BaseException:
            self._forget(session)
            raise
        self.figures.registrations += 1
        self._tell(f"registered {register.key.hex()} at port {port}")
        return session

    async def _hold(self, session: _Session) -> None:
        """Keep a registration until its connection ends, is silent, or its key is no longer allowed."""
        why = "the connection ended"
        beating = asyncio.ensure_future(self._beat(session))
        try:
            while True:
                async with asyncio.timeout(3 * self._limits.heartbeat):
                    frame = await read_frame(session.control.reader)
                if isinstance(frame, Declined):
                    self._declined(session.key, frame.token)
                elif not isinstance(frame, Pong):
                    raise SpliceError("a frame that does not belong here")
        except TimeoutError:
            why = "it is silent"
        except (SpliceError, OSError) as error:
            why = str(error)
        finally:
            beating.cancel()
            self._forget(session)
            session.end()
            self._tell(f"lost {session.key.hex()} at port {session.port}: {why}")

    async def _beat(self, session: _Session) -> None:
        while session.tell(Ping()):
            await asyncio.sleep(self._limits.heartbeat)
            if session.key not in self._allowed():
                for task, key in list(self._tasks.items()):
                    if key == session.key:
                        task.cancel()
                break
        session.end()

    def _forget(self, session: _Session) -> None:
        if self._sessions.get(session.key) is session:
            del self._sessions[session.key]

    def _connected_back(self, data: Data, stream: Stream) -> None:
        """Hand a listener's connection to the dialler that waits for it; the token is used up."""
        key, future = self._waiting.get(data.token, (b"", None))
        if future is None or future.done():
            raise SpliceError("a token that nobody waits for")
        if not ED25519.verify(key, connecting(self.key, key, data.token), data.signature):
            raise SpliceError("a token that another node was given")
        del self._waiting[data.token]
        future.set_result(stream)

    def _declined(self, key: bytes, token: bytes) -> None:
        owner, future = self._waiting.get(token, (b"", None))
        if future is not None and owner == key and not future.done():
            future.set_exception(SpliceError("the node does not listen"))

    # --- diallers --------------------------------------------------------------------------------

    async def _dialled(self, session: _Session, dialler: Stream) -> None:
        """A connection to a listener's port."""
        address, now = _address(dialler.writer), asyncio.get_running_loop().time()
        refusal = self._too_many(session.key, address, now)
        if refusal:
            self.figures.refused[refusal] += 1
            await dialler.close()
            return
        task: asyncio.Task[None] = asyncio.current_task()  # type: ignore[assignment] # we are in one
        self._tasks[task] = session.key
        try:
            with _counted(self._open, session.key), _counted(self._open, address):
                await self._joined(session, dialler, address)
        except asyncio.CancelledError:  # the splice ends, or the key is no longer allowed
            dialler.drop()
        finally:
            del self._tasks[task]

    def _too_many(self, key: bytes, address: str, now: float) -> str:
        """Code of the bound that a new dialler meets; "" if there is none."""
        limits = self._limits
        if len(self._tasks) >= limits.splices:
            return "splices"
        if self._open[key] >= limits.splices_a_key:
            return "splices_a_key"
        if self._open[address] >= limits.splices_an_address:
            return "splices_an_address"
        # The address first: one that dials too often must not use up what the listener's port allows.
        if not self._dials.of(address, now).allows(now) or not self._dials.of(key, now).allows(now):
            return "dials_a_second"
        return ""

    async def _joined(self, session: _Session, dialler: Stream, address: str) -> None:
        try:
            async with asyncio.timeout(self._limits.handshake):
                signature = await dialler.reader.readexactly(ZMTP_SIGNATURE)
                if signature[0] != 0xFF or signature[-1] != 0x7F:
                    raise SpliceError("not ZeroMQ")
                listener = await self._listener_for(session)
        except TimeoutError:
            self.figures.refused["slow"] += 1
            dialler.drop()
            return
        except (SpliceError, OSError, asyncio.IncompleteReadError):
            self.figures.refused["not_joined"] += 1
            await dialler.close()
            return
        self.figures.splices += 1
        listener.writer.write(signature)
        self.figures.bytes += await join(
            dialler, listener, idle=self._limits.idle, pace=self._pace(session.key, address)
        )

    async def _listener_for(self, session: _Session) -> Stream:
        """The listener's connection back for one dialler; raise SpliceError if it gives none."""
        token = secrets.token_bytes(NONCE_SIZE)
        future: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        self._waiting[token] = session.key, future
        try:
            if not session.tell(Open(token)):
                raise SpliceError("the listener is too slow")
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().drop()  # it came at the moment at which the wait ended
            raise
        finally:
            self._waiting.pop(token, None)

    def _pace(self, key: bytes, address: str) -> Callable[[int], float]:
        loop = asyncio.get_running_loop()

        def pace(count: int) -> float:
            now = loop.time()
            return max(self._bytes.of(owner, now).owe(count, now) for owner in (key, address))

        return pace


@contextmanager
def _counted(counter: Counter[bytes | str] | Counter[str], owner: bytes | str) -> Iterator[None]:
    """Count one more of this owner meanwhile."""
    counter[owner] += 1  # type: ignore[index]
    try:
        yield
    finally:
        counter[owner] -= 1  # type: ignore[index]
        if not counter[owner]:  # type: ignore[index]
            del counter[owner]  # type: ignore[arg-type]


def _address(writer: asyncio.StreamWriter) -> str:
    """What counts as the address of the other side; "" if it is gone already."""
    with suppress(TypeError, ValueError, IndexError):
        return network_of(str(writer.get_extra_info("peername")[0]))
    return ""
