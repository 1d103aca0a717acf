"""The events that the proxy itself puts into a stream."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.events.marks import NAME
from dtvn.events.rules import Violation

SHOWN = 10
"""Most violations that one CUSTOM event lists."""


def verdict_event(
    valid: bool | None, scope: str, violations: tuple[Violation, ...] = (), **more: Any
) -> dict[str, Any]:
    """A CUSTOM event with a verdict; `valid` None: not validated."""
    value = {"valid": valid, "scope": scope, **more}
    if violations:
        value["violations"] = violations[:SHOWN]
    return {"type": "CUSTOM", "name": NAME, "value": value}


def error_event(code: str, message: str) -> dict[str, Any]:
    """A RUN_ERROR event."""
    return {"type": "RUN_ERROR", "message": message, "code": code}


def framed(event: dict[str, Any], form: str | None) -> bytes:
    """The bytes of an event as a line of NDJSON if `form` is "ndjson", else as a server-sent event."""
    text = msgspec.json.encode(event)
    return text + b"\n" if form == "ndjson" else b"data: " + text + b"\n\n"
