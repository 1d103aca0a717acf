"""Access checks: the key in a request and the origin of the page that sent it. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

BEARER = "Bearer "


def key_of(headers: Mapping[str, str]) -> str | None:
    """X-API-Key, or, only if that is absent or empty, a bearer token; None without either."""
    if plain := headers.get("X-API-Key", ""):
        return plain
    authorization = headers.get("Authorization", "")
    return authorization[len(BEARER) :] if authorization.startswith(BEARER) else None


def named_origins() -> set[str]:
    """Origins of other hosts whose pages are allowed, in lower case: `DTVN_WS_ORIGINS`, comma-separated."""
    return {name.strip().lower() for name in os.environ.get("DTVN_WS_ORIGINS", "").split(",")} - {""}


def allowed_origin(origin: str | None, host: str) -> bool:
    """Allows requests without Origin, from this very host, from this machine, or from one of
    `named_origins`."""
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
        hostname = parts.hostname
    except ValueError:
        return False
    if parts.netloc and parts.netloc.lower() == host.lower():
        return True
    return hostname in LOCAL_NAMES or origin.lower() in named_origins()
