"""A message as a client holds it while a stream goes on."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from dtvn.events.meaning.followed import Followed, Room
from dtvn.events.rules import messages as m


class Call(Struct):
    """A tool call within a message; `arguments` are the pieces of its text."""

    id: str
    name: str
    arguments: list[str]


class Entry(Struct):
    """A message. `texts`: the pieces of a text; `parts`: content that is no text, as its JSON value;
    `activity`: the content of an activity."""

    id: str
    role: str
    texts: list[str] | None = None
    parts: Any = None
    calls: list[Call] | None = None
    name: str | None = None
    call_id: str | None = None
    error: str | None = None
    kind: str | None = None
    """Type of the activity."""
    activity: Followed | None = None
    owner: str | None = None
    """The subagent's run that it belongs to."""
    place: tuple[int, int] = (0, 0)
    """Its group in the conversation, and its place there."""

    @property
    def content(self) -> Any:
        """The content as a JSON value, None without any."""
        if self.activity is not None:
            return self.activity.value
        return "".join(self.texts) if self.texts is not None else self.parts

    def fill(self, content: m.Body | None) -> None:
        """Give it the content of a message."""
        if isinstance(content, str):
            self.texts = [content]
        elif content is not None:
            self.parts = _plain(content)

    def become_activity(self, kind: str, content: bytes, owner: str | None, room: Room) -> None:
        """Be an activity with this content, given as JSON text, whatever it was."""
        self.role, self.kind, self.owner = "activity", kind, owner
        if self.activity is not None:
            self.activity.leave()
        self.activity = Followed(content, room)
        self.texts = self.parts = self.name = self.call_id = self.error = None

    def append(self, delta: str) -> None:
        """Add a piece of text. Content that is no text is replaced by it."""
        if self.texts is None:
            self.texts, self.parts = [], None
        self.texts.append(delta)


def entry_of(message: m.Message, room: Room) -> Entry:
    """The entry of a message that a snapshot or an input holds whole."""
    made = Entry(message.id, str(message.__struct_config__.tag), owner=message.subagent_run_id or None)
    made.name = getattr(message, "name", None)
    match message:
        case m.ActivityMessage():
            made.become_activity(
                message.activity_type, msgspec.json.encode(message.content), made.owner, room
            )
            return made
        case m.AssistantMessage():
            given = message.tool_calls or ()
            made.calls = [Call(each.id, each.function.name, [each.function.arguments]) for each in given]
        case m.ToolMessage():
            made.call_id, made.error = message.tool_call_id, message.error
    made.fill(message.content)
    return made


def _plain(value: Any) -> Any:
    """A value of the rules as a JSON value, without members that are absent."""
    return _without_nulls(msgspec.json.decode(msgspec.json.encode(value)))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return value
