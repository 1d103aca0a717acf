"""The contract's Origin rule (spec 2): which sites' pages may access a node. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["allowed_origin"]

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def allowed_origin(origin: str | None, host: str, named: str) -> bool:
    """Allows requests without Origin, from this very host, from this machine, or from an origin in `named`
    (comma-separated)."""
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
        hostname = parts.hostname
    except ValueError:
        return False
    if parts.netloc and parts.netloc.lower() == host.lower():
        return True
    names = {name.strip().lower() for name in named.split(",")} - {""}
    return hostname in LOCAL_NAMES or origin.lower() in names
