"""Addresses of other servers, and headers for the next hop."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

Headers = list[tuple[bytes, bytes]]
_HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}


class AddressError(ValueError):
    """Not the http(s) address of a server; the message says why."""


def address(text: str) -> httpx.URL:
    """Parses an http(s) address, which may have a path. Raises AddressError."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressError(f"{text!r} is no address: {error}") from None
    more = url.query or url.fragment or url.userinfo
    if url.scheme not in ("http", "https") or not url.host or more:
        raise AddressError(f"{text!r} is no address of the form http(s)://HOST[:PORT][/PATH]")
    return url


def end_to_end(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers without those that concern only one connection (RFC 9110, 7.6.1)."""
    named = {
        name.strip().lower()
        for known, value in headers
        if known.lower() == b"connection"
        for name in value.split(b",")
    }
    gone = _HOP_BY_HOP | named
    return [(name, value) for name, value in headers if name.lower() not in gone]


def forwarded(scope_headers: Sequence[tuple[bytes, bytes]], client: str, scheme: str, host: bytes) -> Headers:
    """A client's headers for the agent at `host`, with the client's address, scheme and Host as
    X-Forwarded-*."""
    replaced = {b"host", b"expect", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
    earlier = [value for name, value in scope_headers if name == b"x-forwarded-for"]
    asked = [value for name, value in scope_headers if name == b"host"]
    kept = [pair for pair in end_to_end(scope_headers) if pair[0] not in replaced]
    via = b", ".join([*earlier, client.encode("latin-1")])
    return [
        (b"host", host),
        *kept,
        (b"x-forwarded-for", via),
        (b"x-forwarded-proto", scheme.encode()),
        *((b"x-forwarded-host", value) for value in asked[:1]),
    ]
