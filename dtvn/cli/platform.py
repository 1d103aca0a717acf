"""What a platform says about itself over HTTP, for commands that print it. Every command imports this file,
so it imports nothing of the engine."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

TIMEOUT_SECONDS = 10.0
NO_PLATFORM = "not what a platform answers"
BREAKER_STATES = ("closed", "open", "half-open")
"""By the number in the metrics."""
BREAKER = re.compile(r'^dtvn_platform_breaker_state\{node_id="([^"]*)"\} ([0-2])', re.MULTILINE)
Form = TypeVar("Form")


class PlatformError(Exception):
    """A platform that cannot be asked; the sentence says why."""


def add_platform_options(parser: argparse.ArgumentParser) -> None:
    """Add --cluster and --json."""
    parser.add_argument("--cluster", metavar="URL", required=True, help="the platform of the cluster")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def ask(platform: str, path: str, form: type[Form]) -> Form:
    """The answer to GET `path` below /api/v1, under the key in $DTVN_API_KEY. Raises PlatformError."""
    try:
        return msgspec.json.decode(fetch(platform, f"api/v1/{path}"), type=form)
    except msgspec.MsgspecError:
        raise PlatformError(f"{platform} answers 200: {NO_PLATFORM}") from None


def api_key() -> str:
    """The key in $DTVN_API_KEY; "" if it is unset. Raises PlatformError if no HTTP header can hold the key,
    without showing it: an HTTP library would show it."""
    key = os.environ.get("DTVN_API_KEY", "")
    if not (key.isascii() and key.isprintable() and key == key.strip()):
        raise PlatformError("$DTVN_API_KEY is not a key: it has outer space, or not only printable ASCII")
    return key


def fetch(platform: str, path: str) -> bytes:
    """The body of the answer to GET `path`, under the key in $DTVN_API_KEY. Raises PlatformError."""
    try:
        import httpx
    except ImportError:
        raise PlatformError("this command needs httpx: pip install 'dtvn[events]'") from None
    key = api_key()
    url = f"{platform.rstrip('/')}/{path}"
    try:
        with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as client:
            answer = client.get(url, headers={"X-API-Key": key} if key else {})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise PlatformError(f"cannot reach {platform}: {str(error) or type(error).__name__}") from None
    if answer.status_code == httpx.codes.OK:
        return answer.content
    try:
        said = msgspec.json.decode(answer.content, type=dict[str, Any]).get("error", "")
    except msgspec.MsgspecError:
        said = NO_PLATFORM
    raise PlatformError(f"{platform} answers {answer.status_code}: {said}")


def breaker_states(metrics: str) -> dict[str, str]:
    """The state of each member's circuit breaker, by member id, in a platform's metrics (Prometheus text)."""
    return {name: BREAKER_STATES[int(state)] for name, state in BREAKER.findall(metrics)}


def text_of(fields: Mapping[str, Any], *, json: bool) -> str:
    """One line a field, for people; or one JSON object."""
    if json:
        return msgspec.json.encode(fields).decode() + "\n"
    return "".join(f"{name:<22} {_shown(value)}\n" for name, value in fields.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(each)}" for name, each in value.items()) or "-"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(str, value)) or "-"
    return str(value)
