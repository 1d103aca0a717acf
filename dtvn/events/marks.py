"""The CUSTOM events with verdicts that a proxy puts into a stream: no events of the agent."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

NAME = "dtvn.verdict"
"""The name of these events."""


class _Value(msgspec.Struct):
    valid: bool | None
    scope: str
    by: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]


class _Mark(msgspec.Struct, tag_field="type", tag="CUSTOM", forbid_unknown_fields=True):
    name: Literal["dtvn.verdict"]
    value: _Value


_mark = msgspec.json.Decoder(_Mark)


def mark_by(text: bytes) -> str | None:
    """The `by` of an event whose JSON text has the form of a proxy's, None for any other. An agent can
    imitate it: only the header of the proxy's answer tells whether it is the proxy's `by`."""
    if NAME.encode() not in text:
        return None
    try:
        return _mark.decode(text).value.by
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
