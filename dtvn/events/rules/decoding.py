"""From JSON bytes to an event, or to the reason why they are not one: shape, version 0.x, size, depth."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from dtvn.events.rules import shapes as s
from dtvn.events.rules.limits import SCAN_FROM, Limits, nesting
from dtvn.events.rules.violation import SNAKE_CASE, THINKING, Refusal, quoted

NOT_DECODED = (msgspec.MsgspecError, ValueError, RecursionError)
"""What `decode_event` raises."""
REMOVED = {
    "THINKING_START": "REASONING_START",
    "THINKING_END": "REASONING_END",
    "THINKING_TEXT_MESSAGE_START": "REASONING_MESSAGE_START",
    "THINKING_TEXT_MESSAGE_CONTENT": "REASONING_MESSAGE_CONTENT",
    "THINKING_TEXT_MESSAGE_END": "REASONING_MESSAGE_END",
}
"""Types of protocol 0.x that 1.0 removed -> what takes their place."""
_PLACE = re.compile(r"^(.*?)(?: - at `\$\.?(.*)`)?\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.+)`")
_HIGH, _LOW = rb"\\u[dD][89abAB][\da-fA-F]{2}", rb"\\u[dD][c-fC-F][\da-fA-F]{2}"
_LONE_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*(?:%b(?!%b)|(?<!%b)%b)" % (_HIGH, _LOW, _HIGH, _LOW))
"""An escaped surrogate without the other half: agents that cut text by UTF-16 units emit it."""
_SEARCHED_BYTES_MAX = 16 * 1024
"""Longest event in which a lone surrogate is searched for, which takes a few milliseconds."""
_DONE = b"[DONE]"
_as_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class BadShape(Struct, frozen=True):
    """Why bytes are not an event of protocol 1.0; `kind` is its class if at least the type is known."""

    refusal: Refusal
    kind: type[s.Event] | None = None
    suggestion: str | None = None


def over_bounds(data: bytes, limits: Limits) -> Refusal | None:
    """Size, depth and encoding, which are checked before anything is decoded."""
    if len(data) > limits.event_bytes:
        return Refusal("EVENT_TOO_LARGE", f"More than {limits.event_bytes} bytes.")
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return Refusal("NOT_JSON", f"Byte {error.start} is not UTF-8.")
    if len(data) > SCAN_FROM and nesting(data, limits.depth):
        return Refusal("NESTED_TOO_DEEP", f"Values are nested deeper than {limits.depth} levels.")
    return None


def bad_shape(data: bytes, error: Exception) -> BadShape:
    """Name what is wrong with bytes that `decode_event` refused with `error`."""
    if data == _DONE:
        said = "[DONE] ends a stream of OpenAI's interface; the official client 1.0 fails on it."
        return BadShape(Refusal("NOT_AN_OBJECT", said), None, "Leave it out: RUN_FINISHED ends a run.")
    try:
        given = _as_object.decode(data)
    except msgspec.ValidationError:
        return BadShape(Refusal("NOT_AN_OBJECT", "The event is JSON, but no object."))
    except NOT_DECODED as broken:
        return _not_json(data, broken)
    try:
        name = msgspec.json.decode(given["type"], type=str) if "type" in given else None
    except NOT_DECODED:
        return BadShape(Refusal("FIELD_INVALID", "type is no string.", "type"))
    if name is None:
        return BadShape(Refusal("FIELD_MISSING", "The event has no type.", "type"))
    kind = s.TYPES.get(name)
    if kind is None:
        return BadShape(*_unknown(name))
    if not isinstance(error, msgspec.ValidationError):
        return _not_json(data, error, kind)
    return _bad_field(kind, given, str(error))


def _not_json(data: bytes, error: Exception, kind: type[s.Event] | None = None) -> BadShape:
    if len(data) > _SEARCHED_BYTES_MAX or _LONE_SURROGATE.search(data) is None:
        return BadShape(Refusal("NOT_JSON", f"Not JSON: {error}."), kind)
    said = r"Half of a character: a lone surrogate (\ud800 to \udfff)."
    return BadShape(Refusal("NOT_JSON", said), kind, "Cut texts between characters, not UTF-16 units.")


def _unknown(name: str) -> tuple[Refusal, None, str | None]:
    successor = REMOVED.get(name)
    if successor is None:
        return (
            Refusal("UNKNOWN_EVENT_TYPE", f"{quoted(name)} is no event type of protocol 1.0.", "type"),
            None,
            None,
        )
    said = f"{name} is of AG-UI protocol 0.x; 1.0 has {successor} in its place."
    return Refusal("PROTOCOL_0X", said, "type"), None, THINKING


def _bad_field(kind: type[s.Event], given: dict[str, msgspec.Raw], error: str) -> BadShape:
    matched = _PLACE.match(error)
    said, place = (matched[1], matched[2] or "") if matched else (error, "")
    missing = _MISSING.fullmatch(said)
    name = s.NAMES[kind]
    if missing is None:
        return BadShape(_invalid(kind, name, place, said), kind)
    field = f"{place}.{missing[1]}" if place else missing[1]
    code = "SUBAGENT_MISSING_FIELD" if issubclass(kind, s.Subagent) and not place else "FIELD_MISSING"
    snake = re.sub(r"(?<!^)([A-Z])", r"_\1", missing[1]).lower()
    if not place and snake != missing[1] and snake in given:
        return BadShape(Refusal(code, f"{name} has no {field}, but {snake}.", field), kind, SNAKE_CASE)
    return BadShape(Refusal(code, f"{name} has no {field}.", field), kind)


def _invalid(kind: type[s.Event], name: str, place: str, said: str) -> Refusal:
    if kind is s.SubagentFinished and place == "outcome.type":
        return Refusal("SUBAGENT_BAD_OUTCOME", f"{said} in outcome.type.", place)
    if kind is s.SubagentFinished and place.startswith("outcome.interruptIds"):
        return Refusal("NULL_NOT_ALLOWED", "An interrupt id is no string.", "outcome.interruptIds")
    if kind in (s.SubagentStarted, s.SubagentFinished, s.SubagentError) and place in (
        "subagentRunId",
        "name",
        "message",
    ):
        return Refusal("SUBAGENT_MISSING_FIELD", f"{place} of {name} is no string.", place)
    if said == "Invalid value 'binary'":
        return Refusal("PROTOCOL_0X", f"A part of type binary in {place} is of AG-UI protocol 0.x.", place)
    return Refusal("FIELD_INVALID", f"{said} in {place or name}.", place or None)


def without_shape(data: bytes, kind: type[s.Event]) -> s.Event | None:
    """The event with its missing and invalid fields filled by the emptiest value, for rules of order alone;
    None if no such event can be made."""
    given: dict[str, object] = dict(_as_object.decode(data))
    for known in msgspec.structs.fields(kind):
        if known.encode_name not in given and known.required:
            given[known.encode_name] = _emptiest(known.type)
    for _ in range(len(given)):
        try:
            event: s.Event = s.decode_event(msgspec.json.encode(given))
        except NOT_DECODED as error:
            matched = _PLACE.match(str(error))
            top = re.split(r"[.\[]", matched[2])[0] if matched and matched[2] else ""
            field = next((each for each in msgspec.structs.fields(kind) if each.encode_name == top), None)
            if field is None:
                return None
            if field.required:
                given[top] = _emptiest(field.type)
            else:
                given.pop(top, None)
        else:
            return event
    return None


def _emptiest(kind: object) -> object:
    candidates: tuple[object, ...] = ("", [], {})
    for value in candidates:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            continue
        return value
    return None


@cache
def known_fields(kind: type[s.Event]) -> frozenset[str]:
    """Wire names of the fields of an event."""
    return frozenset({"type", *(field.encode_name for field in msgspec.structs.fields(kind))})


def unknown_fields(data: bytes, kind: type[s.Event]) -> list[str]:
    """Top-level names in the JSON text of a well-formed event that the protocol does not define."""
    try:
        fields_alone(kind)(data)
    except msgspec.ValidationError:
        return [name for name in _as_object.decode(data) if name not in known_fields(kind)]
    return []


@cache
def fields_alone(kind: type[s.Event]) -> Callable[[bytes], object]:
    """Raises ValidationError for any other field, and reads no values: nearly all events have none."""
    absent = msgspec.UNSET
    # In the order that events usually have, in which a field is found at once.
    names = "type", *(field.encode_name for field in msgspec.structs.fields(kind))
    members: list[tuple[str, Any, Any]] = [
        (f"field_{number}", msgspec.Raw | msgspec.UnsetType, msgspec.field(name=name, default=absent))
        for number, name in enumerate(names)
    ]
    fields = msgspec.defstruct("Fields", members, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(fields).decode
