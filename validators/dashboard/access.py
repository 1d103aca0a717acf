"""Who may open the live feed: a session from our own pages, or an API key from anywhere it is allowed.

Browsers send a page's Origin with every WebSocket handshake and attach cookies whoever the page
belongs to, so a session counts only where the origin is this very host. A key is never attached by
itself: for it the contract's wider rule holds (spec section 2).
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, urlsplit

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from validators.services.api_keys import find_api_key

__all__ = ["may_watch", "may_watch_still"]

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


async def may_watch(scope: dict[str, Any]) -> bool:
    """Decide about one handshake, from its headers and session."""
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())
    }
    host, origin = headers.get("host", ""), headers.get("origin")
    if not _known_host(host):
        return False
    if key := _api_key(headers):
        if not (_same_host(origin, host) or _allowed_for_keys(origin)):
            return False
        return await database_sync_to_async(find_api_key)(key) is not None
    user = scope.get("user")
    return bool(user is not None and user.is_authenticated and _same_host(origin, host))


async def may_watch_still(scope: dict[str, Any]) -> bool:
    """Decide again about a client that was let in: keys are revoked and expire, sessions end."""
    if (session := scope.get("session")) is not None:
        stored = import_module(settings.SESSION_ENGINE).SessionStore(session.session_key)
        scope = {**scope, "user": await get_user({**scope, "session": stored})}
    return await may_watch(scope)


def _api_key(headers: dict[str, str]) -> str:
    """X-API-Key, or only where that is absent, a bearer token (spec 1.6)."""
    if key := headers.get("x-api-key"):
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def _known_host(host: str) -> bool:
    """The Host header names this platform: what stops DNS rebinding."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _same_host(origin: str | None, host: str) -> bool:
    return origin is None or _parsed(origin).netloc.lower() == host.lower()


def _allowed_for_keys(origin: str | None) -> bool:
    if origin is None:
        return True
    named = (name.strip().lower() for name in os.environ.get("DTVN_WS_ORIGINS", "").split(","))
    return _parsed(origin).hostname in LOCAL_NAMES or origin.lower() in set(named) - {""}


def _parsed(origin: str) -> SplitResult:
    """The parts of an origin; none of them where it is not one ("null", or nonsense)."""
    try:
        return urlsplit(origin)
    except ValueError:
        return urlsplit("")
