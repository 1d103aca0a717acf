"""Events of AG-UI 0.x as the official client 1.0 converts them: THINKING_* to REASONING_*, and binary parts
of messages to media parts. Learned from its behaviour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.events.rules.decoding import NOT_DECODED, REMOVED, BadShape
from dtvn.events.rules.state import RunState

_MEDIA = ("image", "audio", "video")


class Older:
    """Converts the events of one stream, which it follows: events of 0.x do not name what they continue."""

    def __init__(self) -> None:
        self._made = 0
        self._span: str | None = None
        self._message: str | None = None

    def converted(self, data: bytes, bad: BadShape, state: RunState) -> bytes | None:
        """The JSON text that clients read in place of one that is no event of 1.0; None if it is not of
        0.x."""
        if bad.refusal.code != "PROTOCOL_0X":
            return None
        try:
            given = msgspec.json.decode(data, type=dict[str, Any])
            if given["type"] in REMOVED:
                given = self._reasoning(given, state)
            else:
                _upgrade(given)
            return msgspec.json.encode(given)
        except NOT_DECODED:
            return None

    def _reasoning(self, given: dict[str, Any], state: RunState) -> dict[str, Any]:
        older = given["type"]
        made = {name: value for name, value in given.items() if name not in ("title", "role")}
        made["type"] = REMOVED[older]
        if older == "THINKING_START":
            made["messageId"] = self._span = self._new(state)
        elif older == "THINKING_TEXT_MESSAGE_START":
            made["messageId"] = self._message = self._new(state)
        elif older == "THINKING_END":
            made["messageId"], self._span = self._span or self._new(state), None
        else:
            made["messageId"] = self._message or self._new(state)
            if older == "THINKING_TEXT_MESSAGE_END":
                self._message = None
        return made

    def _new(self, state: RunState) -> str:
        """An id that nothing in the run has."""
        while True:
            self._made += 1
            name = f"thinking-{self._made}"
            if name not in state.owners_reasoning:
                return name


def _upgrade(given: dict[str, Any]) -> None:
    """Upgrade the binary parts of messages; leave out those that cannot be, as in results of calls."""
    _upgrade_content(given, _dropped)
    owner = given.get("input") if given["type"] == "RUN_STARTED" else given
    messages = owner.get("messages") if isinstance(owner, dict) else None
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict):
            _upgrade_content(message, _media)


def _upgrade_content(
    message: dict[str, Any], upgrade: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> None:
    content = message.get("content")
    if not isinstance(content, list):
        return
    upgraded = [
        upgrade(part) if isinstance(part, dict) and part.get("type") == "binary" else part for part in content
    ]
    message["content"] = [part for part in upgraded if part is not None]


def _dropped(part: dict[str, Any]) -> None:
    return None


def _media(part: dict[str, Any]) -> dict[str, Any] | None:
    kind = part.get("mimeType")
    if not isinstance(kind, str):
        return None
    media = kind.partition("/")[0]
    for source in ("data", "url"):
        if part.get(source):
            return {
                "type": media if media in _MEDIA else "document",
                "source": {"type": source, "value": part[source], "mimeType": kind},
            }
    return None
