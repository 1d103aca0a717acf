"""Events of AG-UI 0.x as the official client 1.0 converts them: THINKING_* to REASONING_*. Learned from its
behaviour."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dtvn.events.rules.state import RunState

REMOVED = {
    "THINKING_START": "REASONING_START",
    "THINKING_END": "REASONING_END",
    "THINKING_TEXT_MESSAGE_START": "REASONING_MESSAGE_START",
    "THINKING_TEXT_MESSAGE_CONTENT": "REASONING_MESSAGE_CONTENT",
    "THINKING_TEXT_MESSAGE_END": "REASONING_MESSAGE_END",
}
"""Types of protocol 0.x that 1.0 removed -> what takes their place."""


class Older:
    """Converts the events of one stream, which it follows: events of 0.x do not name what they continue."""

    def __init__(self) -> None:
        self._made = 0
        self._span: str | None = None
        self._message: str | None = None

    def converted(self, members: dict[str, Raw], older: str, state: RunState) -> dict[str, Raw]:
        """The members that clients read in place of those of an event of type `older`."""
        made = {name: value for name, value in members.items() if name not in ("title", "role")}
        made["type"] = _text(REMOVED[older])
        if older == "THINKING_START":
            name = self._span = self._new(state)
        elif older == "THINKING_TEXT_MESSAGE_START":
            name = self._message = self._new(state)
            made["role"] = _text("reasoning")
        elif older == "THINKING_END":
            name, self._span = self._span or self._new(state), None
        else:
            name = self._message or self._new(state)
            if older == "THINKING_TEXT_MESSAGE_END":
                self._message = None
        made["messageId"] = _text(name)
        return made

    def _new(self, state: RunState) -> str:
        """An id that nothing in the run has."""
        while True:
            self._made += 1
            name = f"thinking-{self._made}"
            if name not in state.owners_reasoning:
                return name


def _text(value: str) -> Raw:
    return Raw(msgspec.json.encode(value))
