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
_REPLACED = {b"host", b"expect", b"forwarded", b"x-real-ip"}
_WITHOUT_BODY = {204, 205}


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
    X-Forwarded-*: its own words on these are left out, and names with an underscore, which many servers take
    for the name with a hyphen."""
    asked = [value for name, value in scope_headers if name == b"host"]
    return [
        (b"host", host),
        *(pair for pair in end_to_end(scope_headers) if not _of_this_hop(pair[0])),
        (b"x-forwarded-for", client.encode("latin-1")),
        (b"x-forwarded-proto", scheme.encode()),
        *((b"x-forwarded-host", value) for value in asked[:1]),
    ]


def _of_this_hop(name: bytes) -> bool:
    return name in _REPLACED or name.startswith(b"x-forwarded-") or b"_" in name


def answered(status: int, headers: Sequence[tuple[bytes, bytes]], agent: httpx.URL) -> Headers:
    """An agent's headers for its client. A length is passed on only where it is that of the body, and a
    redirect to the agent itself becomes one to this proxy."""
    names = {name.lower() for name, _ in headers}
    unsure = b"transfer-encoding" in names or status in _WITHOUT_BODY
    kept = [pair for pair in end_to_end(headers) if not (unsure and pair[0].lower() == b"content-length")]
    return [(name, _location(value, agent) if name.lower() == b"location" else value) for name, value in kept]


def _location(value: bytes, agent: httpx.URL) -> bytes:
    """Where a redirect leads, told from this proxy: paths of clients are added to the agent's."""
    path = value.removeprefix(b"%b://%b" % (agent.scheme.encode(), agent.netloc))
    below = agent.raw_path.rstrip(b"/")
    if not path.startswith(below + b"/") or path.startswith(b"//"):
        return value
    told = path.removeprefix(below)
    return value if _names_a_host(told) else told


def _names_a_host(path: bytes) -> bool:
    """Whether browsers read a path as one that begins with a host: they leave out tabs, and take a backslash
    for a slash (WHATWG URL, 4.4)."""
    return path.translate(None, b"\t").replace(b"\\", b"/").startswith(b"//")
