"""Headers that the web process's server or Django can be made to obey: which of them a client may set.

What a header may change is settled here, one by one; a server that comes to obey another one fails the test.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any

import pytest
from daphne import http_protocol, server, utils, ws_protocol
from daphne.cli import CommandLineInterface
from django.conf import settings

from tests.platform.test_lean_request import BODY, PLAIN, START, Client
from tests.support.table import table
from validators.web.body_limit import BoundedRequest
from validators.web.websocket_limit import BoundedServer

DROPPED = (b"Daphne-Root-Path", b"DAPHNE-ROOT-PATH", b"daphne-root-path")
PASSED_ON = (
    *(b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Port", b"X-Forwarded-Host", b"Forwarded"),
    *(b"X-Real-IP", b"Script-Name", b"X-Script-Name", b"X-Forwarded-Prefix", b"X-Original-URL"),
    *(b"X-Rewrite-URL", b"X-HTTP-Method-Override", b"X-Accel-Redirect", b"X-Sendfile", b"Remote-User"),
)
"""The application gets them as fields and no more."""
UNDERSCORES = (b"Daphne_Root_Path", b"X_Forwarded_For", b"X_Forwarded_Proto", b"Script_Name")
"""Django could not tell them from those with hyphens: CVE-2015-0219."""
OBEYED = frozenset({"daphne-root-path", "sec-websocket-protocol", "x-forwarded-for", "x-forwarded-port"})
OBEYED |= {"x-forwarded-proto"}
"""What daphne reads besides Upgrade: the first is dropped, and x-forwarded-* needs options that we do not
set."""
HANDSHAKE = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def scope_of(data: bytes) -> dict[str, Any]:
    """What the application is told about a request, and about nothing but it."""
    client = asyncio.run(Client(BoundedServer, BoundedRequest, START, BODY).says(data))
    (scope,) = client.scopes
    return {name: value for name, value in scope.items() if name != "asgi"}


def with_header(name: bytes, data: bytes = PLAIN) -> bytes:
    return data.replace(b"\r\nHost: a", b"\r\nHost: a\r\n%b: /x" % name)


@table("name", [*DROPPED, *UNDERSCORES], count=7)
def test_the_application_never_gets_what_only_a_server_may_say(name: bytes) -> None:
    assert scope_of(with_header(name)) == scope_of(PLAIN)


@table("name", PASSED_ON, count=15)
def test_any_other_header_changes_nothing_but_the_fields(name: bytes) -> None:
    found, plain = scope_of(with_header(name)), scope_of(PLAIN)
    assert (name.lower(), b"/x") in found["headers"]
    found["headers"].remove((name.lower(), b"/x"))
    assert found == plain


class Socket:
    """Takes a connection over, as daphne's WebSockets do; notes what it is told."""

    def __init__(self) -> None:
        self.told = b""

    def buildProtocol(self, _address: object) -> Socket:
        """See twisted's factories."""
        return self

    def makeConnection(self, transport: object) -> None:
        """See twisted."""

    def dataReceived(self, data: bytes) -> None:
        """See twisted."""
        self.told += data

    def connectionLost(self, reason: object) -> None:
        """See twisted."""


def upgraded(data: bytes) -> tuple[Client, Socket]:
    client, socket = Client(BoundedServer, BoundedRequest), Socket()
    client.server.ws_factory = socket
    client.channel.dataReceived(data)
    return client, socket


@pytest.mark.parametrize("name", DROPPED)
def test_a_websocket_is_not_told_a_root_path_either(name: bytes) -> None:
    _, plain = upgraded(HANDSHAKE + b"\r\n")
    _, socket = upgraded(with_header(name, HANDSHAKE) + b"\r\n")
    assert plain.told.startswith(b"GET /ws HTTP/1.1\r\n")
    assert socket.told == plain.told


@pytest.mark.parametrize("body", [b"Content-Length: 4\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
@pytest.mark.parametrize("name", [b"websocket", b"WebSocket"])
def test_a_websockets_handshake_with_a_body_is_refused(name: bytes, body: bytes) -> None:
    """Daphne would hand the body to the WebSocket, as frames that came before its handshake was answered."""
    client, socket = upgraded(HANDSHAKE.replace(b"websocket", name) + body)
    client.channel.dataReceived(b"\x81\x00\x81\x00")
    assert socket.told == b""
    answer = client.transport.value()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'{"error":"The handshake of a WebSocket has no body.","code":"bad_request"}')


def test_a_handshake_that_announces_an_empty_body_is_taken() -> None:
    _, socket = upgraded(HANDSHAKE + b"Content-Length: 0\r\n\r\n")
    assert socket.told.startswith(b"GET /ws HTTP/1.1\r\n")


def test_another_upgrade_may_have_a_body() -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    assert scope_of(data)["method"] == "POST"


def test_daphne_obeys_no_header_that_is_not_settled_here() -> None:
    modules = (http_protocol, server, utils, ws_protocol)
    source = "".join(map(inspect.getsource, modules))
    named = {name.lower() for name in re.findall(r'"([A-Za-z]+(?:-[A-Za-z]+)+)"', source)}
    assert named - {"content-type", "utf-8", "iso-8859-1"} == OBEYED


def test_daphne_is_not_told_to_trust_a_proxy_by_default() -> None:
    said = CommandLineInterface().parser.parse_args(["dtvn_project.asgi:application"])
    assert (said.proxy_headers, said.root_path) == (False, "")
    assert http_protocol.parse_x_forwarded_for({}, None, original_addr=["a", 1]) == (["a", 1], None)


def test_django_trusts_a_proxy_only_where_one_is_named() -> None:
    """`DTVN_HTTPS=1` adds X-Forwarded-Proto, and the last address of X-Forwarded-For
    (tests/platform/test_login_throttle.py)."""
    assert not settings.BEHIND_PROXY
    assert settings.SECURE_PROXY_SSL_HEADER is None
    assert not settings.USE_X_FORWARDED_HOST
    assert not settings.USE_X_FORWARDED_PORT
    assert settings.FORCE_SCRIPT_NAME is None
