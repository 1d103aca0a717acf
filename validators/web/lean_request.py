"""A daphne request without the layers that most requests do not need: no generator and no deferred while it
is read, one write for a whole answer.

WebSockets, and all that daphne refuses, take daphne's own way; so do answers in several parts.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from daphne import http_protocol
from twisted.web.http import NO_BODY_CODES, RESPONSES
from twisted.web.http_headers import Headers

from validators.web.http_channel import head_of

INVALID_IN_VALUES = bytes(http_protocol.INVALID_HEADER_VALUE_BYTES)
"""Bytes that daphne refuses in values of header fields."""
LENGTH = b"Content-Length"
NAMES_MAX = 1_024
"""Most names of header fields that are cached."""
UNKNOWN = b"Unknown Status"
"""Twisted's reason phrase for a status that it does not know."""


class LeanRequest(http_protocol.WebRequest):  # type: ignore[misc]
    """A request of the web process; see the module."""

    _head: dict[str, Any] | None = None
    """The start of an answer, until the first part of its body comes."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def process(self) -> None:
        """See daphne: the request is complete."""
        headers = self.requestHeaders
        if self._is_plain(headers):
            self._begin(headers)
        else:
            self.channel.cancel_idle_timer()
            super().process()

    def handle_reply(self, message: dict[str, Any]) -> None:
        """See daphne, which sends nothing before the body's first part either."""
        if self.finished or self.channel is None:
            return
        if message["type"] == "http.response.start" and not self._response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            if self._answers_whole(head, message):
                return
            super().handle_reply(head)
        super().handle_reply(message)

    def handle_exception(self, exception: BaseException) -> None:
        """See daphne, which fails to send its error page in an answer that has begun: the client would wait,
        and daphne would no longer check requests and WebSockets for time-outs."""
        if not self._response_started:
            super().handle_exception(exception)
        elif not self.finished:
            self.loseConnection()

    def _is_plain(self, headers: Headers) -> bool:
        """Whether nothing in the request is for daphne's own way. (Twisted has checked fields' names.)"""
        if headers.hasHeader(b"upgrade") or not self.uri.isascii():
            return False
        return not any(
            len(value.translate(None, INVALID_IN_VALUES)) != len(value)
            for _, values in headers.getAllRawHeaders()
            for value in values
        )

    def _begin(self, headers: Headers) -> None:
        """Start the application, and give it the body."""
        self.request_start = time.time()
        client, host = self.client, self.host
        if hasattr(client, "port"):
            self.client_addr, self.server_addr = [client.host, client.port], [host.host, host.port]
        self.query_string = self.uri.partition(b"?")[2]
        self.application_queue = queue = self.server.create_application(
            self,
            {
                "type": "http",
                "http_version": self.clientproto.rpartition(b"/")[2].decode(),
                "method": self.method.decode(),
                "path": unquote(self.path.decode()),
                "raw_path": self.path,
                "root_path": self.server.root_path,
                "scheme": "https" if self.isSecure() else "http",
                "query_string": self.query_string,
                # Without underscores in names, as in daphne: CVE-2015-0219.
                "headers": [
                    (name.lower(), value)
                    for name, values in headers.getAllRawHeaders()
                    if b"_" not in name
                    for value in values
                ],
                "client": self.client_addr,
                "server": self.server_addr,
            },
        )
        if self.content.closed:  # as in daphne: the application gets no body from here
            return
        self.content.seek(0)
        size, more = self.server.request_buffer_size, True
        while more:
            part = self.content.read(size)
            more = len(part) == size
            queue.put_nowait({"type": "http.request", "body": part, "more_body": more})

    def _answers_whole(self, head: dict[str, Any], message: dict[str, Any]) -> bool:
        """Send the answer and end, if `message` is all of its body and the length is announced."""
        status = head["status"]
        if message.get("more_body") or self.method == b"HEAD" or status in NO_BODY_CODES:
            return False
        fields = [(_canonical(name), value) for name, value in head["headers"]]
        if LENGTH not in dict(fields):
            return False
        fields += [
            (name, value) for name, values in self.responseHeaders.getAllRawHeaders() for value in values
        ]
        sent = head_of(self.clientproto, b"%d" % status, RESPONSES.get(status, UNKNOWN), fields)
        if sent.count(b"\r") + sent.count(b"\n") != 2 * len(fields):
            return False  # a line end in a value, which twisted replaces by a space
        body = message.get("body", b"")
        self.code, self.startedWriting, self.sentLength = status, 1, len(body)
        self._response_started = True
        self.channel.write(b"%b\r\n\r\n%b" % (sent, body))
        self.finish()
        return True


@lru_cache(maxsize=NAMES_MAX)
def _canonical(name: bytes) -> bytes:
    """A field's name as twisted writes it."""
    headers = Headers({name: [b""]})
    return next(headers.getAllRawHeaders())[0]
