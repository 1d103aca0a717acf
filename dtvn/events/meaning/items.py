"""A conversation without what means nothing: one item for each text, call and activity, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from dtvn.events.meaning.conversation import Conversation
from dtvn.events.meaning.entries import Call, Entry
from dtvn.events.meaning.json_values import read
from dtvn.events.meaning.references import Reference, referring


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


def items_of(conversation: Conversation, references: dict[str, Reference]) -> tuple[Item, ...]:
    """The items of a conversation, with references in the place of ids in the results of its calls."""
    entries = conversation.entries
    results: dict[str, list[Any]] = {}
    for entry in entries:
        if entry.call_id is not None and conversation.call(entry.call_id) is not None:
            results.setdefault(entry.call_id, []).append(referring(_given(entry, "result"), references))
    return tuple(item for entry in entries for item in _items(entry, results))


def _items(entry: Entry, results: dict[str, list[Any]]) -> Iterator[Item]:
    shared = {} if entry.owner is None else {"by_subagent": True}
    if entry.activity is not None:
        yield Item("activity", entry.kind or "", shared | {"content": entry.content})
        return
    if entry.call_id is not None:
        if entry.call_id not in results:
            yield Item("message", "tool", shared | _given(entry, "text"))
        return
    # Clients show nothing of a message without content; one that only calls has none.
    if entry.content:
        named = {} if entry.name is None else {"name": entry.name}
        yield Item("message", entry.role, shared | {"text": entry.content} | named)
    for call in entry.calls or ():
        yield Item("call", call.name, shared | _arguments(call) | _answers(results.get(call.id, [])))


def _arguments(call: Call) -> dict[str, Any]:
    """The arguments of a call as a client reads them; none are {}. A text that is no JSON has another name,
    since it is not the JSON text of the same letters."""
    text = "".join(call.arguments)
    readable, value = read(text) if text.strip() else (True, {})
    return {"arguments": value} if readable else {"arguments_text": text}


def _answers(results: list[Any]) -> dict[str, Any]:
    if not results:
        return {}
    first: dict[str, Any] = results[0]
    return first | ({"more_results": results[1:]} if len(results) > 1 else {})


def _given(entry: Entry, name: str) -> dict[str, Any]:
    """What a tool gave: the value of a text that is a JSON object or list, since its spaces mean nothing; of
    content in parts, the parts."""
    error = {} if entry.error is None else {"error": entry.error}
    if entry.texts is None:
        return {"parts": entry.parts} | error
    text = "".join(entry.texts)
    readable, value = read(text) if text.lstrip()[:1] in ("{", "[") else (False, None)
    return {name: value if readable else text} | error
