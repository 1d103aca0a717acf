"""The CUSTOM events with verdicts that a proxy puts into a stream: no events of the agent."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

NAME = "dtvn.verdict"
"""The name of these events."""


class _Value(msgspec.Struct):
    valid: bool | None
    scope: str
    by: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]


class _Mark(msgspec.Struct, tag_field="type", tag="CUSTOM"):
    name: Literal["dtvn.verdict"]
    value: _Value


_mark = msgspec.json.Decoder(_Mark)


def is_mark(text: bytes) -> bool:
    """Whether the JSON text of an event has the form of a proxy's. An agent can imitate it: only the header
    of the proxy's answer tells its `by`."""
    if NAME.encode() not in text:
        return False
    try:
        _mark.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True
