"""Connections of the web process, each with a deadline of 15 s for reading a request, headers and
body: twisted keeps waiting while one byte per minute arrives.

A request whose body is live (body_limit) is answered while it is read, without that deadline; the connection
ends with its answer.

A request that is refused while it is read gets a whole answer, of which twisted would send none or only a
status line. Connections are bounded in number: a new one beyond the bound evicts the one that has waited
longest for its client (0131).

While a client does not take its answer, the application waits (websocket_limit.BoundedServer), and the
connection counts as one that waits for its client. It is disconnected by the listening socket's
TCP_USER_TIMEOUT, or by twisted a minute after the answer's end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from twisted.internet.tcp import Connection
from twisted.web import http

from dtvn.api.answers import failure, last_response
from dtvn.api.connections import CONNECTIONS_MAX, PAUSE_OF_OURS, READ, longest_waiting
from dtvn.api.errors import ApiError, ServiceError
from validators.web.live_body import LiveBody
from validators.web.reading_budget import BODIES, MESSAGES, OTHERS

LINGER = 2.0
"""Seconds that a refused client gets to read the error before it is disconnected; it may go on sending."""
READS_FREE = 4
"""Reads of a request that do not count for the budget: nearly all requests need one or two."""
LATE = ApiError(408, "too_slow", "The request was not complete in time.")
MALFORMED = ApiError(400, "bad_request", "The request is malformed.")


class Refused(Exception):
    """Ends the parsing of a request with an error; `answer`: the complete response."""

    def __init__(self, error: ServiceError, *, enveloped: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.answer = last_response(failure(error, enveloped=enveloped))


class Room:
    """The open connections of this process, WebSockets included."""

    def __init__(self, most: int = CONNECTIONS_MAX) -> None:
        self.most = most
        self._open: dict[Any, TimedChannel] = {}
        """Channel by transport; the one that has waited longest for its client comes first."""

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, channel: TimedChannel) -> None:
        """Add a new connection. If there are too many, close the one that has waited longest for its client,
        or the new one if none waits."""
        evicted = None
        if len(self._open) >= self.most:
            evicted = longest_waiting(self._open.values()) or channel
        self._open[channel.transport] = channel
        if evicted is not None:
            del self._open[evicted.transport]
            evicted.transport.abortConnection()

    def waits(self, channel: TimedChannel) -> None:
        """Note that the connection waits for its client from now on: to send a request, or to take an
        answer."""
        if self._open.pop(channel.transport, None):
            self._open[channel.transport] = channel

    def leave(self, transport: Any) -> None:
        """Remove a closed connection."""
        self._open.pop(transport, None)


class TimedChannel(http.HTTPChannel):
    """A twisted connection with a deadline for the first request and for each one that has begun."""

    room = Room()
    read_within = READ
    transport: Any
    _networkProducer: Any

    _late: Any = None
    """The timer that fires when a request is incomplete."""
    _due = 0.0
    """Monotonic seconds at which that timer should fire."""
    _idle: Any = None
    """The timer that checks whether the connection has been idle for too long."""
    _idle_until: float | None = None
    """Monotonic seconds at which an idle connection ends; None while a request is answered."""
    _refused = False
    """Whether bytes that arrive are discarded."""
    _live: LiveBody | None = None
    """The live body that is being read; None without one."""
    _resting = False
    """Whether the reading budget is used up: `read_on` is called when it is not any more."""
    _requests_read = 0
    _host: Any = None
    _reads = 0
    """Number of times that bytes of the present request have arrived."""
    _ahead = b""
    """Bytes of further requests, which wait until the client has read the answer before."""

    def connectionMade(self) -> None:
        """See twisted.web."""
        self._taken = asyncio.Event()
        self._taken.set()
        super().connectionMade()
        self._begin()
        self.room.enter(self)

    def dataReceived(self, data: bytes) -> None:
        """See twisted.web; bytes that arrive during an answer are queued."""
        began = time.monotonic()
        if not self._refused:
            read = self._requests_read
            try:
                super().dataReceived(data)
            except Refused as refused:
                self._fail(refused)
            if not self._refused and not self._handlingRequest and self._requests_read == read:
                self._begin()
        if self._refused or self._late is not None or self._live is not None:
            self._reads += 1
            unannounced = OTHERS if self._live is None else MESSAGES
            budget = BODIES if self.length and not self._refused else unannounced
            if self._reads > READS_FREE and (wait := budget.wait(time.monotonic() - began)):
                self._resting = True
                self._networkProducer.pauseProducing()
                self.callLater(wait, self._rested)
            elif self._live is not None and self._live.full:
                self._networkProducer.pauseProducing()

    def setTimeout(self, period: int | None) -> int | None:
        """See twisted, which sets and cancels a timer at each request; here one timer compares times."""
        before, self.timeOut = self.timeOut, period
        self._idle_until = None if period is None else time.monotonic() + period
        if period is not None and self._idle is None:
            self._idle = self.callLater(period, self._look_idle)
        return before

    def resetTimeout(self) -> None:
        """See twisted: bytes have arrived."""
        if self._idle_until is not None and self.timeOut is not None:
            self._idle_until = time.monotonic() + self.timeOut

    def cancel_idle_timer(self) -> None:
        """Cancel the timer of idle connections, until the next timeout is set. It would keep this object and
        the request in memory for a minute after a WebSocket has taken over the connection."""
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.cancel()

    def getHost(self) -> Any:
        """See twisted.web, which asks the system at every request."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def goes_live(self, body: LiveBody) -> None:
        """The present request is answered while its body arrives."""
        self._forget()
        self.setTimeout(None)
        self._live, self.persistent = body, 0

    def allContentReceived(self) -> None:
        """See twisted.web: the request is complete. While an answer waits for its client, twisted expects
        that nothing is read, and would keep all that follows."""
        self._forget()
        if self._live is not None and self._waitingForTransport:
            self._networkProducer.pauseProducing()
        self._live = None
        self._reads = 0
        self._requests_read += 1
        super().allContentReceived()

    def write(self, data: bytes) -> None:
        """See twisted.web, whose transport would ask the system first whether the socket takes anything."""
        transport = self.transport
        if isinstance(transport, Connection) and _can_send_now(transport):
            sent = transport.writeSomeData(data)
            if isinstance(sent, int):
                data = data[sent:]
        if data:
            transport.write(data)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """See twisted.web, whose transport would check each of 40 pieces."""
        fields = [(name, value) for name, values in headers.getAllRawHeaders() for value in values]
        self.transport.write(head_of(version, code, reason, fields) + b"\r\n\r\n")

    def requestDone(self, request: Any) -> None:
        """See twisted.web: queued bytes may contain the next request, which is not answered before the client
        reads: twisted would answer all that it queued, and keep the answers."""
        if self._live is not None:  # the rest of the body may still come
            self.requests.remove(request)
            self._refuse(b"")
            return
        if self._waitingForTransport and self.persistent:
            self._ahead, self._dataBuffer = b"".join(self._dataBuffer), []
            self._networkProducer.pauseProducing()
        elif any(self._dataBuffer) and self.persistent:
            self._begin()
        self.room.waits(self)
        super().requestDone(request)

    def pauseProducing(self) -> None:
        """See twisted.web: the transport's buffer is full. A live body is read on until it is full: many
        clients read no answer before they have sent all."""
        self._taken.clear()
        self.room.waits(self)
        super().pauseProducing()
        self.read_on()

    def resumeProducing(self) -> None:
        """See twisted.web: the client has read what was sent."""
        self._taken.set()
        super().resumeProducing()
        if self._resting or (self._live is not None and self._live.full):
            self._networkProducer.pauseProducing()
        ahead, self._ahead = self._ahead, b""
        if ahead:
            self.dataReceived(ahead)

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        """See twisted.web."""
        self._forget()
        self.cancel_idle_timer()
        self._taken.set()
        self.room.leave(self.transport)
        super().connectionLost(reason)

    def lineLengthExceeded(self, line: bytes) -> NoReturn:
        """See twisted: a header line that is too long, or the request line."""
        self._receivedHeaderSize += len(line)
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> NoReturn:
        """See twisted.web, which would send a status line alone."""
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            most = f"{self.totalHeadersSize} bytes or {self.maxHeaders} fields"
            error = ApiError(431, "headers_too_large", f"The headers have more than {most}.")
            raise Refused(error)
        raise Refused(MALFORMED)

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:
        """See twisted, which raises ValueError at a Content-Length of over 4,300 digits; the server would
        then keep an answered request before it for ever."""
        try:
            return bool(super()._maybeChooseTransferDecoder(header, data))
        except ValueError:
            return bool(self._failChooseTransferDecoder())

    @property
    def waits_for_client(self) -> bool:
        """See Connection; False for a WebSocket and a live body too."""
        return self._waitingForTransport or not (self._handlingRequest or self._live)

    async def taken(self) -> None:
        """Returns when the client has taken what was sent, or is gone."""
        await self._taken.wait()

    def read_on(self) -> None:
        """Read what the client sends, unless it must wait for the budget, for a full body, or until it has
        taken an answer."""
        waits = self._waitingForTransport if self._live is None else self._live.full
        if not self._resting and not waits:
            self._networkProducer.resumeProducing()

    def _rested(self) -> None:
        self._resting = False
        self.read_on()

    def _look_idle(self) -> None:
        self._idle = None
        if self._idle_until is None:
            return
        left = self._idle_until - time.monotonic()
        if left > 0:
            self._idle = self.callLater(left, self._look_idle)
        else:
            self._idle_until = None
            self.timeoutConnection()

    def _begin(self) -> None:
        if self._late is None and self._live is None:
            self._due = time.monotonic() + self.read_within
            self._late = self.callLater(self.read_within, self._on_late)

    def _forget(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()

    def _on_late(self) -> None:
        self._late = None
        if time.monotonic() - self._due > PAUSE_OF_OURS:
            self._begin()
            return
        self._refuse(Refused(LATE).answer)

    def _fail(self, refused: Refused) -> None:
        """Refuse the request that is being read. If its body is live, the application answers."""
        if self._live is not None:
            self._refused = True
            self._live.end(refused.error)
            self.read_on()
        elif not self._refused:
            self._refuse(refused.answer)

    def _refuse(self, answer: bytes) -> None:
        """Send a refusal, and discard the bytes that still arrive: the client may go on sending before it
        reads, and would lose the answer if its bytes met a closed socket."""
        self._forget()
        self._live, self._refused = None, True
        self.clearLineBuffer()
        if not self._resting:
            self._networkProducer.resumeProducing()
        self.transport.write(answer)
        self.transport.loseWriteConnection()
        self.callLater(LINGER, self.transport.abortConnection)


def head_of(version: bytes, code: bytes, reason: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Status line and header fields of an answer, without the line end after the last one."""
    return b"\r\n".join([b"%b %b %b" % (version, code, reason), *(b"%b: %b" % field for field in fields)])


def _can_send_now(transport: Connection) -> bool:
    """Whether the connection is open for sending, without TLS, and has no bytes that wait to be sent."""
    waits = transport.dataBuffer or transport._tempDataLen or transport._writeDisconnected
    return bool(transport.connected and not waits and not transport.TLS)


def install() -> None:
    """Make twisted's server use it, and write no access log: daphne has no setting for this, and discards the
    log's lines."""
    http.HTTPChannel = TimedChannel  # type: ignore[misc]
    http.HTTPFactory.log = lambda _factory, _request: None  # type: ignore[method-assign,assignment]
