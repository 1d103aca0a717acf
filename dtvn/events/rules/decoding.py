"""From JSON bytes to an event, or to the reason why they are not one: shape, version 0.x, size, depth."""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from dtvn.events.rules import shapes as s
from dtvn.events.rules.limits import SCAN_FROM, Limits, nesting
from dtvn.events.rules.older import REMOVED, Older
from dtvn.events.rules.state import RunState
from dtvn.events.rules.tolerance import NOT_DECODED, Deviation, Reader, members_of, text_of
from dtvn.events.rules.violation import SNAKE_CASE, THINKING, Refusal, listed, quoted

_PLACE = re.compile(r"^(.*?)(?: - at `\$\.?(.*)`)?\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.+)`")
_HIGH, _LOW = rb"u[dD][89abAB][\da-fA-F]{2}", rb"u[dD][c-fC-F][\da-fA-F]{2}"
_ESCAPES = re.compile(rb"\\(?:%b\\%b|(%b|%b)|.)" % (_HIGH, _LOW, _HIGH, _LOW), re.DOTALL)
"""The escapes of a JSON text in their order; the group is a surrogate without the other half."""
_REPLACEMENT = "\ufffd".encode()
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_NUMBER = re.compile(rb"[:,\[]\s*-?(NaN|Infinity)\b")
_DONE = b"[DONE]"
_NULLS = "Leave out fields that have no value: model_dump(exclude_none=True) of the Python models does."


class BadShape(Struct, frozen=True):
    """Why bytes are not an event of protocol 1.0; `kind` is its class if at least the type is known."""

    refusal: Refusal
    kind: type[s.Event] | None = None
    suggestion: str | None = None


class Read(Struct, frozen=True):
    """An event as a reader takes it, or why not. `said`: what the reader changed; `text`: the JSON text that
    it read in the end."""

    event: s.Event | None = None
    said: tuple[Deviation, ...] = ()
    bad: BadShape | None = None
    text: bytes = b""


def over_bounds(data: bytes, limits: Limits) -> Refusal | None:
    """Size and depth, which are checked before anything is decoded."""
    if len(data) > limits.event_bytes:
        return Refusal("EVENT_TOO_LARGE", f"More than {limits.event_bytes} bytes.")
    if len(data) > SCAN_FROM and nesting(data, limits.depth):
        return Refusal("NESTED_TOO_DEEP", f"Values are nested deeper than {limits.depth} levels.")
    return None


def not_utf8(data: bytes) -> int | None:
    """The first byte that is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def whole_characters(data: bytes) -> bytes:
    """JSON text in which each escaped half of a character stands as U+FFFD and its code: agents that cut
    texts by UTF-16 units emit halves, and clients join them."""
    return data if _SURROGATE.search(data) is None else _ESCAPES.sub(_whole, data)


def _whole(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] is None else _REPLACEMENT + escape[1][1:]


def read(data: bytes, reader: Reader, older: Older | None, state: RunState) -> Read:
    """Read a JSON text that the shapes do not take. `older`: converts the events of 0.x."""
    members, bad = _members(data)
    if bad is not None and reader.is_tolerant and (whole := whole_characters(data)) != data:
        members, bad = _members(whole)
    if bad is not None:
        return Read(bad=bad)
    name = text_of(members.get("type"))
    if not name:
        if "type" not in members:
            return Read(bad=BadShape(Refusal("FIELD_MISSING", "The event has no type.", "type")))
        said = "type is no string." if name is None else "type is empty."
        return Read(bad=BadShape(Refusal("FIELD_INVALID", said, "type")))
    first: tuple[Deviation, ...] = ()
    if name in REMOVED and older is not None:
        first = (Deviation("PROTOCOL_0X", "type", _removed(name), THINKING),)
        members, name = older.converted(members, name, state), REMOVED[name]
    kind = s.TYPES.get(name)
    if kind is None:
        return Read(bad=_unknown(name))
    text = b""
    try:
        text = reader.event(members, kind)
        if reader.nulls:
            said = f"Null: {listed(reader.nulls)}. A field without a value is left out; clients end here."
            bad = BadShape(Refusal("NULL_NOT_ALLOWED", said, reader.nulls[0]), kind, _NULLS)
            return Read(None, first, bad, text)
        return Read(s.decode_event(text), (*first, *reader.said.values()), text=text)
    except msgspec.ValidationError as error:
        return Read(None, first, _bad_field(kind, members, str(error)), text)
    except NOT_DECODED as error:
        return Read(None, first, _not_json(data, error, kind), text)


def _members(data: bytes) -> tuple[dict[str, msgspec.Raw], BadShape | None]:
    if data == _DONE:
        said = "[DONE] ends a stream of OpenAI's interface; the official client 1.0 fails on it."
        refusal = Refusal("NOT_AN_OBJECT", said)
        return {}, BadShape(refusal, None, "Leave it out: RUN_FINISHED ends a run.")
    try:
        return members_of(data), None
    except msgspec.ValidationError:
        return {}, BadShape(Refusal("NOT_AN_OBJECT", "The event is JSON, but no object."))
    except NOT_DECODED as broken:
        return {}, _not_json(data, broken)


def _not_json(data: bytes, error: Exception, kind: type[s.Event] | None = None) -> BadShape:
    said, cure = f"Not JSON: {error}.", None
    if whole_characters(data) != data:
        said = r"Half of a character: a lone surrogate (\ud800 to \udfff)."
        cure = "Cut texts between characters, not UTF-16 units."
    elif (number := _NO_NUMBER.search(data)) is not None:
        said = f"{number[1].decode()} is no JSON: clients cannot read the event."
        cure = "Send null in its place; json.dumps(..., allow_nan=False) finds where it comes from."
    elif "trailing" in str(error) and b"\n" in data:
        said = "Two events in one: between server-sent events there is an empty line."
        cure = "End each event with an empty line: its data, then two line ends."
    return BadShape(Refusal("NOT_JSON", said), kind, cure)


def _removed(name: str) -> str:
    return f"{name} is of AG-UI protocol 0.x; 1.0 has {REMOVED[name]} in its place."


def _unknown(name: str) -> BadShape:
    if name in REMOVED:
        return BadShape(Refusal("PROTOCOL_0X", _removed(name), "type"), None, THINKING)
    said = f"{quoted(name)} is no event type of protocol 1.0."
    return BadShape(Refusal("UNKNOWN_EVENT_TYPE", said, "type"))


def _bad_field(kind: type[s.Event], given: dict[str, msgspec.Raw], error: str) -> BadShape:
    matched = _PLACE.match(error)
    said, place = (matched[1], matched[2] or "") if matched else (error, "")
    missing = _MISSING.fullmatch(said)
    name = s.NAMES[kind]
    if missing is None:
        is_text = said in ("Expected `str`, got `object`", "Expected `str`, got `array`")
        cure = "Send a text here: json.dumps of the value." if is_text else None
        return BadShape(_invalid(kind, name, place, said), kind, cure)
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
    given: dict[str, object] = dict(members_of(data))
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
