"""The JSON texts of events that a program holds as dicts, as texts, or as objects of `ag_ui.core`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from dtvn.events.rules import EventReader, FramingError, Limits, RunInput, read_input

TAKEN = "a dict, JSON text (str or bytes), a server-sent event of an encoder, or a model of ag_ui.core"
"""What an item may be, for messages."""
_FRAMED = re.compile(rb"(data|event|id|retry)?:")
"""How a server-sent event begins."""


def stream_text(events: Iterable[object] | str | bytes) -> bytes | None:
    """The bytes of a whole stream if it is given as a text; None for an iterable of events. Raises TypeError
    for anything else."""
    if isinstance(events, str):
        return _encoded(events)
    if isinstance(events, bytes | bytearray | memoryview):
        return bytes(events)
    if isinstance(events, Mapping) or _is_model(events):
        raise TypeError("events is one event, not an iterable of events: give a list with it")
    if hasattr(events, "__aiter__"):
        raise TypeError("events is asynchronous: give [event async for event in ...]")
    if hasattr(events, "__fspath__"):
        raise TypeError("events is a path: give what it holds, with read_bytes()")
    if not isinstance(events, Iterable):
        raise TypeError(f"events is {_named(events)}: give an iterable, or the text of a stream")
    return None


def texts_of(item: object, place: int) -> list[bytes]:
    """The JSON texts of the events in one item: one event, or none if the item is a blank text or a
    server-sent event without data. `place` is the item's index. Raises TypeError for an item that is no
    event."""
    if isinstance(item, str | bytes | bytearray | memoryview):
        text = (_encoded(item) if isinstance(item, str) else bytes(item)).strip()
        if _FRAMED.match(text):
            return _unframed(text)
        return [text] if text else []
    return [_json(f"events[{place}]", item, f"which is no event. Give {TAKEN}.")]


def input_of(given: object) -> RunInput:
    """The RunAgentInput in a dict, a JSON text or a model. Raises TypeError or ValueError."""
    if isinstance(given, str | bytes):
        text = given
    else:
        text = _json("run_input", given, "which is no RunAgentInput. Give a dict, JSON text or a model.")
    try:
        return read_input(_encoded(text) if isinstance(text, str) else text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"run_input is no RunAgentInput: {error}") from None


def _json(name: str, item: object, otherwise: str) -> bytes:
    """The JSON text of a dict or a model. Raises TypeError; `otherwise` says why no other value will do."""
    value: Any = item
    if _is_model(value):
        try:
            value = value.model_dump(by_alias=True, exclude_none=True, mode="json")
        except Exception as error:  # whatever the caller's class raises
            raise TypeError(f"{name} is {_named(item)} whose model_dump fails: {error}") from error
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {_named(item)}, {otherwise}")
    try:
        return json.dumps(dict(value), separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{name} is {_named(item)} that has no JSON form: {error}") from error


def _unframed(text: bytes) -> list[bytes]:
    """The events in server-sent events; the text itself if it is none of these."""
    reader = EventReader(Limits().event_bytes)
    try:
        return [found for _, found in (*reader.feed(text), *reader.end())]
    except FramingError:
        return [text]


def _is_model(item: object) -> bool:
    return not isinstance(item, type) and callable(getattr(item, "model_dump", None))


def _encoded(text: str) -> bytes:
    # Half of a character is refused by the rules, which say what to do.
    return text.encode("utf-8", "surrogatepass")


def _named(item: object) -> str:
    return "None" if item is None else f"a value of type {type(item).__name__}"
