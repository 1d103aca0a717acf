"""A conversation without what means nothing: one item for each text, call and activity, in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from dtvn.events.meaning.conversation import Conversation
from dtvn.events.meaning.entries import Call, Entry

DEPTH = 128
"""Levels of a JSON value within a text that is read; deeper ones are compared as texts."""


class Item(Struct, frozen=True):
    """A message or a tool call. `sort`: `message`, `call` or `activity`; `name`: its role, its tool or its
    type; `value`: JSON value of all that it says, without ids."""

    sort: str
    name: str
    value: dict[str, Any]


class Meaning(Struct, frozen=True):
    """`outcomes`: how each run of the stream ended, in their order."""

    items: tuple[Item, ...]
    state: Any
    outcomes: tuple[dict[str, Any], ...]


ID_CHARACTERS = 8
"""The shortest id that is recognised in values: shorter texts may be words."""


def labels_of(conversation: Conversation) -> dict[str, str]:
    """Id -> what it names, for values that repeat ids, as states that hold the messages do."""
    found: dict[str, str] = {}
    calls = 0
    for number, entry in enumerate(conversation.entries, 1):
        found.setdefault(entry.id, f"(id of message {number})")
        for call in entry.calls or ():
            calls += 1
            found.setdefault(call.id, f"(id of call {calls})")
    return found


def labelled(value: Any, labels: dict[str, str]) -> Any:
    """A JSON value with labels in the place of ids."""
    if isinstance(value, dict):
        return {name: labelled(each, labels) for name, each in value.items()}
    if isinstance(value, list):
        return [labelled(each, labels) for each in value]
    return labels.get(value, value) if isinstance(value, str) and len(value) >= ID_CHARACTERS else value


def items_of(conversation: Conversation, labels: dict[str, str]) -> tuple[Item, ...]:
    """The items of a conversation."""
    results: dict[str, list[Entry]] = {}
    for entry in conversation.entries:
        if entry.call_id is not None and conversation.call(entry.call_id) is not None:
            results.setdefault(entry.call_id, []).append(entry)
    found = (item for entry in conversation.entries for item in _items(entry, results))
    return tuple(Item(each.sort, each.name, labelled(each.value, labels)) for each in found)


def _items(entry: Entry, results: dict[str, list[Entry]]) -> Iterator[Item]:
    shared = {} if entry.owner is None else {"by_subagent": True}
    if entry.activity is not None:
        yield Item("activity", entry.kind or "", shared | {"content": entry.content})
        return
    if entry.call_id is not None:
        if entry.call_id not in results:
            yield Item("message", "tool", shared | {"text": _value(entry.content)} | _error(entry))
        return
    # Clients show nothing of a message without content; one that only calls has none.
    if entry.content:
        named = {} if entry.name is None else {"name": entry.name}
        yield Item("message", entry.role, shared | {"text": entry.content} | named)
    for call in entry.calls or ():
        yield Item("call", call.name, shared | {"arguments": arguments(call)} | _answers(call, results))


def arguments(call: Call) -> Any:
    """The arguments of a call as a client reads them: none are {}; a text if they are no JSON."""
    text = "".join(call.arguments)
    if not text.strip():
        return {}
    return _read(text)


def _read(text: str) -> Any:
    """The value of a JSON text; the text itself if it is none, or is nested deeper than events may be."""
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return text
    level, depth = [value], 0
    while level := [
        each
        for container in level
        if isinstance(container, dict | list)
        for each in (container.values() if isinstance(container, dict) else container)
    ]:
        depth += 1
        if depth > DEPTH:
            return text
    return value


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _answers(call: Call, results: dict[str, list[Entry]]) -> dict[str, Any]:
    found = results.get(call.id, [])
    if not found:
        return {}
    first = {"result": _value(found[0].content)} | _error(found[0])
    more = [{"result": _value(each.content)} | _error(each) for each in found[1:]]
    return first | ({"more_results": more} if more else {})


def _error(entry: Entry) -> dict[str, Any]:
    return {} if entry.error is None else {"error": entry.error}


def _value(content: Any) -> Any:
    """What a tool gave: the value of a text that is a JSON object or list, since its spaces mean nothing."""
    return _read(content) if isinstance(content, str) and content.lstrip()[:1] in ("{", "[") else content
