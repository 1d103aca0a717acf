"""Access to the live feed: a session from our own pages, or an API key from any allowed origin.

Browsers send the page's Origin with every WebSocket handshake and attach cookies whichever site the page
belongs to, so a session counts only if the origin is this very host. A key is never attached automatically:
for it, the contract's wider rule holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import msgspec
from channels.auth import get_user
from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django_otp import DEVICE_ID_SESSION_KEY

from dtvn.api.access import allowed_origin, named_origins
from validators.rest.keys import (
    ANYBODY,
    Caller,
    authenticate_key,
    caller_of_session,
    caller_of_user,
    text_of_header,
)


class Watcher(msgspec.Struct, frozen=True):
    """Who watches the live feed, and what of it."""

    actor: str = ""
    """The caller that a WebSocket counts for in the bound on sockets; "" for all that need no key. All
    sessions and headers of a key are one caller."""
    events: frozenset[str] | None = None
    """Names of the only events of tickets that it may read; None: all."""


async def watcher_of(scope: dict[str, Any]) -> Watcher | None:
    """Who opens this WebSocket of the live feed; None for one that may not."""
    if not await may_watch(scope):
        return None
    person = await database_sync_to_async(_person)(scope)  # on an open platform all others are one caller
    caller = person or await _caller_of(scope)
    if caller is None:
        return Watcher()
    return Watcher(caller.actor, None if settings.API_IS_OPEN else caller.on_pages().rights.events())


async def may_watch(scope: dict[str, Any]) -> bool:
    """Whether a handshake may open the live feed, by its headers and session."""
    headers = _headers(scope)
    host, origin = headers.get("host", ""), headers.get("origin")
    if settings.SUPERVISOR:
        return await _may_watch_supervisor(headers, host, origin)
    if not _is_host(host, settings.ALLOWED_HOSTS):
        return False
    if key := _api_key(headers):
        return allowed_origin(origin, host) and await _is_key(key)
    if not _same_host(origin, host):
        return False
    return await database_sync_to_async(_is_person)(scope)


async def _may_watch_supervisor(headers: dict[str, str], host: str, origin: str | None) -> bool:
    """The rule of the Go DTVN, which requires no key. A page whose host name was rebound to this machine
    would look like same-origin, so without a key its host must be known or its origin listed."""
    if origin is None:
        return _is_host(host, settings.ALLOWED_HOSTS)
    if not allowed_origin(origin, host):
        return False
    if origin.lower() in named_origins() or _is_host(host, settings.KNOWN_HOSTS):
        return True
    key = _api_key(headers)
    return bool(key) and await _is_key(key)


async def _is_key(key: str) -> bool:
    return await database_sync_to_async(authenticate_key)(key) is not None


def _is_person(scope: dict[str, Any]) -> bool:
    """Whether a user in a team, or the holder of an entered key, opened this socket."""
    return _person(scope) is not None


def _person(scope: dict[str, Any]) -> Caller | None:
    user = scope.get("user")  # lazy: its object is what the session stores
    found = getattr(user, "_wrapped", user)
    if settings.SECOND_FACTOR and DEVICE_ID_SESSION_KEY not in (scope.get("session") or {}):
        found = None
    return caller_of_user(found) or caller_of_session(scope.get("session"))


async def watcher_again(scope: dict[str, Any]) -> Watcher | None:
    """The same for an admitted client: keys are revoked and expire, sessions end, teams change."""
    return await watcher_of(await _as_stored(scope))


async def caller_of_socket(scope: dict[str, Any], *, again: bool = False) -> Caller | None:
    """The caller behind a socket that may change something; None if it may not even watch. `again`: the
    client was admitted before, so its session and user are read anew."""
    if again:
        scope = await _as_stored(scope)
    return await _caller_of(scope) if await may_watch(scope) else None


async def caller_of_request(scope: dict[str, Any]) -> Caller | None:
    """The caller of a request that was admitted before. `scope`: its `headers`, `session` and `user`; the
    last two are read anew. None if it may no longer call."""
    return await _caller_of(await _as_stored(scope))


async def _caller_of(scope: dict[str, Any]) -> Caller | None:
    if settings.API_IS_OPEN:
        return ANYBODY
    if key := _api_key(_headers(scope)):
        return await database_sync_to_async(authenticate_key)(key)  # type: ignore[no-any-return]
    return await database_sync_to_async(_person)(scope)  # type: ignore[no-any-return]


async def _as_stored(scope: dict[str, Any]) -> dict[str, Any]:
    """The scope with its session and user as the database has them now."""
    if (session := scope.get("session")) is None:
        return scope
    stored = import_module(settings.SESSION_ENGINE).SessionStore(session.session_key)
    return {**scope, "session": stored, "user": await get_user({**scope, "session": stored})}


def _headers(scope: dict[str, Any]) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())
    }


def _api_key(headers: dict[str, str]) -> str:
    """X-API-Key, or, only if that is absent, a bearer token."""
    if key := headers.get("x-api-key"):
        return text_of_header(key)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return text_of_header(token) if scheme == "Bearer" else ""


def _is_host(host: str, names: Sequence[str]) -> bool:
    """Whether the Host header is one of these names: this stops DNS rebinding."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, names)


def _same_host(origin: str | None, host: str) -> bool:
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
