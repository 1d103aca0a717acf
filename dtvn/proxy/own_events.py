"""The events that the proxy itself puts into a stream."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.events.rules import Violation

NAME = "dtvn.verdict"
"""The name of the CUSTOM events."""
SHOWN = 10
"""Violations in one of them."""


def verdict_event(
    valid: bool | None, scope: str, violations: tuple[Violation, ...] = (), **more: Any
) -> dict[str, Any]:
    """A CUSTOM event with a verdict; None means: not validated."""
    value = {"valid": valid, "scope": scope, **more}
    if violations:
        value["violations"] = violations[:SHOWN]
    return {"type": "CUSTOM", "name": NAME, "value": value}


def error_event(code: str, message: str) -> dict[str, Any]:
    """A RUN_ERROR."""
    return {"type": "RUN_ERROR", "message": message, "code": code}


def framed(event: dict[str, Any], form: str | None) -> bytes:
    """The bytes of an event in a stream of this form."""
    text = msgspec.json.encode(event)
    return text + b"\n" if form == "ndjson" else b"data: " + text + b"\n\n"
