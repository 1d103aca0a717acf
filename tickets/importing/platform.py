"""Access to a platform's REST API from a command: its address, its key, and when to retry."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec

TRY_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which the same request is sent again with the same nonce (R13, R14)."""
PAUSE_FIRST = 0.1
PAUSE_MAX = 2.0
"""Longest pause in seconds; the pause doubles up to this, unless the platform asks for longer."""
RETRY_AFTER_MAX = 10.0


UNDECIDED = "the validators to decide; the pages say whether they can"
"""What an import or a scan waits for while nothing gets an answer; completes "waiting for "."""


class NetworkSilent(Exception):
    """No answer within the allowed time; the requests that were sent may or may not have been executed."""


class PlatformUnknown(ValueError):
    """No address or no key is known; the message says how to give them."""


class Refused(Exception):
    """The platform answered with a refusal that retrying will not change."""


class Platform(msgspec.Struct, frozen=True):
    """Address of the API, and the key for it."""

    url: str
    api_key: str


def platform_of(data: Path, *, url: str = "", api_key: str = "") -> Platform:
    """The platform named by `url` and `api_key`; missing values come from the credentials file."""
    path = data / "credentials.json"
    found: dict[str, str] = {}
    if not (url and api_key):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise PlatformUnknown(
                f"{path} does not exist: start a network with `make up`, or give --url and --api-key."
            ) from error
        except (OSError, ValueError) as error:
            raise PlatformUnknown(f"{path} cannot be read: {error}.") from error
    try:
        known = Platform(url=(url or found["url"]).rstrip("/"), api_key=api_key or found["api_key"])
    except KeyError as error:
        raise PlatformUnknown(f"{path} lacks {error}: start the network again.") from error
    try:
        address = httpx.URL(known.url)
    except (httpx.InvalidURL, TypeError):
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host:
        raise PlatformUnknown(f"{known.url!r} is not the address of a platform: use http://HOST:PORT.")
    return known


def open_client(platform: Platform, *, connections: int, patience: float) -> httpx.AsyncClient:
    """A client that keeps `connections` open and waits at most `patience` seconds for one answer."""
    return httpx.AsyncClient(
        base_url=platform.url,
        headers={"X-API-Key": platform.api_key},
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        timeout=httpx.Timeout(patience, connect=5.0),
        trust_env=False,
    )


def pause_before(attempt: int, response: httpx.Response | None) -> float:
    """Seconds to wait before attempt 2, 3, ...: as the platform asks, else doubling."""
    pause = min(PAUSE_MAX, PAUSE_FIRST * 2 ** min(attempt - 2, 10))
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return min(max(pause, float(asked)), RETRY_AFTER_MAX) if asked.isdigit() else pause


class Asked(NamedTuple):
    """Result of a request that was sent until its answer was final."""

    response: httpx.Response | None
    """None: no final answer came in time."""
    attempts: int
    trouble: str
    """The last problem; "" with a final answer."""


async def ask_until_final(
    client: httpx.AsyncClient,
    path: str,
    body: dict[str, Any] | None,
    *,
    patience: float,
    method: str = "POST",
) -> Asked:
    """Send the same body until the status of the answer is not in TRY_AGAIN, for `patience` seconds."""
    loop = asyncio.get_running_loop()
    give_up_at, attempts = loop.time() + patience, 0
    while True:
        attempts += 1
        response: httpx.Response | None = None
        try:
            response = await client.request(method, path, json=body)
        except httpx.TransportError as error:
            trouble = f"{type(error).__name__} {error}".strip()
        else:
            if response.status_code not in TRY_AGAIN:
                return Asked(response, attempts, "")
            trouble = f"status {response.status_code}"
        if loop.time() >= give_up_at:
            return Asked(None, attempts, trouble)
        await asyncio.sleep(pause_before(attempts + 1, response))
