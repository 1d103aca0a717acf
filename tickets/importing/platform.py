"""Access to a platform's REST API from a command: its address, its key, and requests over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec

from tickets.importing.until_final import Answer, NetworkSilent, until_final_async

UNDECIDED = "the validators to decide; the pages say whether they can"
"""What an import or a scan waits for while nothing gets an answer; completes "waiting for "."""


class PlatformUnknown(ValueError):
    """No address or no key is known; the message says how to give them."""


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


def answer_of(response: httpx.Response) -> Answer:
    """A response as an answer, with the response as its content."""
    asked = response.headers.get("Retry-After", "")
    return Answer(response.status_code, response, float(asked) if asked.isdigit() else 0.0)


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
    """Send the same body until the answer is final, for `patience` seconds."""
    attempts, trouble = 0, ""

    async def ask(_: list[str]) -> list[Answer]:
        nonlocal attempts, trouble
        attempts += 1
        try:
            response = await client.request(method, path, json=body)
        except httpx.TransportError as error:
            trouble = f"{type(error).__name__} {error}".strip()
            return []
        trouble = f"status {response.status_code}"
        return [answer_of(response)]

    try:
        ((_, answer),) = [pair async for pair in until_final_async(ask, [path], patience=patience)]
    except NetworkSilent:
        return Asked(None, attempts, trouble)
    return Asked(answer.content, attempts, "")
