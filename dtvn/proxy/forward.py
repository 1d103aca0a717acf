"""An ASGI application that asks an agent elsewhere and passes its answer on, piece by piece as it comes.

Back-pressure: the next piece of either body is only read once the last was taken, so that a slow reader
slows the writer. A client that goes away ends the request to the agent.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from urllib.parse import unquote_to_bytes

import httpx
import msgspec

from dtvn.proxy.headers import address, answered, forwarded
from dtvn.proxy.middleware import Scope, StreamBroke
from dtvn.proxy.passages import Receive, Send

CONNECT_SECONDS = 10.0
STREAMS = 1_000


class Forward:
    """Passes requests on to the agent at `upstream`."""

    def __init__(
        self,
        upstream: str,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        silence_seconds: float | None = None,
        streams: int = STREAMS,
    ) -> None:
        """`upstream`: an http(s) address; a request's path is added to its path. `silence_seconds`: how long
        the agent may send, or take, nothing; None: as long as the client waits. `streams`: how many requests
        are passed on at once. Raises AddressError."""
        self.url = address(upstream)
        self._timeouts = {
            "connect": connect_seconds,
            "read": silence_seconds,
            "write": silence_seconds,
            "pool": connect_seconds,
        }
        self._streams = streams
        self._open = 0
        # A client would keep cookies and follow redirects and proxies of the environment. No connection is
        # used twice: an agent may close it at the moment of the next request, which cannot be repeated.
        verify: ssl.SSLContext | bool = self.url.scheme == "https"
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008, "reason": "only HTTP is passed on"})
        elif scope["method"] == "CONNECT" or not _path(scope).startswith(b"/"):
            await refuse(send, 400, "NO_PATH", "The request target must be a path, which begins with /.")
        elif self.url.raw_path != b"/" and _climbs(_path(scope)):
            said = f"A path with dot segments may lead out of {self.url}."
            await refuse(send, 400, "DOT_SEGMENTS", said)
        elif self._open >= self._streams:
            await refuse(send, 503, "TOO_MANY_STREAMS", f"{self._streams} requests are being passed on.")
        else:
            self._open += 1
            try:
                await self._answer(scope, _Upload(receive), send)
            finally:
                self._open -= 1

    async def _answer(self, scope: Scope, upload: _Upload, send: Send) -> None:
        """Pass request and answer on, until the answer is complete or the client is gone."""
        passing = asyncio.ensure_future(self._pass(scope, upload, send))
        gone = asyncio.ensure_future(upload.gone())
        try:
            await asyncio.wait({passing, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (passing, gone):
                task.cancel()
            await asyncio.wait({passing, gone})
        if not passing.cancelled():
            passing.result()

    async def _pass(self, scope: Scope, upload: _Upload, send: Send) -> None:
        request = self._request(scope, upload)
        try:
            answer = await self._transport.handle_async_request(request)
        except ClientGone:
            return
        except httpx.HTTPError as error:
            status, code = next((status, code) for kind, status, code in _FAILURES if isinstance(error, kind))
            said = f"The agent at {self.url} gives no answer: {self._reason(error)}."
            upload.drain()
            await refuse(send, status, code, said)
            return
        upload.drain()
        if not isinstance(answer.stream, httpx.AsyncByteStream):
            raise TypeError(f"an answer whose body is a {type(answer.stream).__name__}")
        status = answer.status_code
        try:
            if not 200 <= status < 600:
                said = f"The agent at {self.url} answers with status {status}, which no answer has."
                await refuse(send, 502, "UPSTREAM_BAD_STATUS", said)
                return
            headers = answered(status, answer.headers.raw, self.url)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            async for piece in answer.stream:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except httpx.HTTPError as error:
            raise StreamBroke(self._reason(error)) from None
        finally:
            await answer.stream.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _request(self, scope: Scope, upload: _Upload) -> httpx.Request:
        target = self.url.raw_path.rstrip(b"/") + _path(scope)
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        client = scope["client"][0] if scope.get("client") else "unknown"
        headers = forwarded(scope["headers"], client, scope.get("scheme", "http"), self.url.netloc)
        sent = {name for name, _ in scope["headers"]}
        has_body = b"transfer-encoding" in sent or b"content-length" in sent
        if b"transfer-encoding" in sent:
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            headers.append((b"transfer-encoding", b"chunked"))
        if not has_body:
            upload.drain()
        return httpx.Request(
            scope["method"],
            self.url,
            headers=headers,
            stream=upload if has_body else _NO_BODY,
            # Not as a URL: httpx would resolve `..`, and percent-encode.
            extensions={"timeout": self._timeouts, "target": target},
        )

    def _reason(self, error: httpx.HTTPError) -> str:
        if isinstance(error, httpx.ConnectTimeout):
            return f"no connection within {self._timeouts['connect']:g} s"
        if isinstance(error, httpx.TimeoutException):
            return f"silent for {self._timeouts['read']:g} s"
        return str(error) or type(error).__name__

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._transport.aclose()
        await send({"type": "lifespan.shutdown.complete"})


class ClientGone(httpx.HTTPError):
    """The client went away before its request was read."""


_FAILURES: tuple[tuple[type[httpx.HTTPError], int, str], ...] = (
    (httpx.TimeoutException, 504, "UPSTREAM_TIMEOUT"),
    (httpx.ConnectError, 502, "UPSTREAM_UNREACHABLE"),
    (httpx.HTTPError, 502, "UPSTREAM_BROKE_OFF"),
)


class _Upload(httpx.AsyncByteStream):
    """The body of a request, read from the client as the agent takes it; afterwards, whether the client is
    still there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = asyncio.Event()
        self._client_gone = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._client_gone = True
                self._read.set()
                raise ClientGone("the client went away")
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]
        self._read.set()

    def drain(self) -> None:
        """The agent reads no more of the body: from now on `gone` reads the client's messages."""
        self._read.set()

    async def gone(self) -> None:
        """Wait until the client is gone."""
        await self._read.wait()
        while not self._client_gone:
            message = await self._receive()
            self._client_gone = message["type"] == "http.disconnect"


_NO_BODY = httpx.ByteStream(b"")


def _path(scope: Scope) -> bytes:
    """The path of the request target, as the client wrote it."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return path


def _climbs(path: bytes) -> bool:
    """Whether a server may read dot segments in a path: some take a backslash for a slash, or leave out what
    follows a semicolon."""
    segments = re.split(rb"[/\\\\]", unquote_to_bytes(path))
    return any(segment.partition(b";")[0] in (b".", b"..") for segment in segments)


async def refuse(send: Send, status: int, code: str, message: str) -> None:
    """Answer with an error, as JSON."""
    body = msgspec.json.encode({"code": code, "message": message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
