"""How a reader takes an event that is not exactly of the protocol: what it drops, what it converts, what it
refuses. Read in the official client 1.0 and in the official Python models, and tried with both.

An event that the shapes take as it is needs none of this.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct, inspect

from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s
from dtvn.events.rules.violation import INTERRUPT, quoted

NOT_DECODED = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoders raise."""
NULL = b"null"
NEWER = {"encryptedValueType": "1.1"}
"""Fields of later versions than the one of the shapes -> the version that has them."""
SAID_MAX = 64
"""Deviations of one event that are told."""
_MEDIA = ("image", "audio", "video")
_EVENT = {"rawEvent", "timestamp", "metadata", "result"}
_CONVERTED = {
    (s.RunFinished, "result"),
    (s.SubagentFinished, "result"),
    (s.RunFinished, "outcome"),
    (s.ToolCallStart, "parentMessageId"),
    (s.ToolCallChunk, "parentMessageId"),
    (m.RunInput, "forwardedProps"),
    (m.RunInput, "state"),
    (m.Tool, "parameters"),
    (m.Resume, "payload"),
}
"""Nulls that clients read as absent, besides those of `rawEvent` and of a media part's `metadata`."""
_ADDED: dict[type, tuple[str, bytes]] = {
    s.ReasoningMessageStart: ("role", b'"reasoning"'),
    m.ToolCall: ("type", b'"function"'),
}
"""Fields that the Python models add where they are absent."""
_WHOLE = re.compile(rb'"\+?(-?)0*(\d{1,16})"')
members_of = msgspec.json.Decoder(dict[str, Raw]).decode
_text = msgspec.json.Decoder(str).decode
_items_of = msgspec.json.Decoder(list[Raw]).decode


class Reading(StrEnum):
    """Whose reading decides."""

    CLIENT = "client"
    """The official client: what it does not know is dropped, a broken value of what it knows ends the run."""
    MODELS = "models"
    """The official Python models: an unknown member is refused; null, and a number in a text, are taken."""


class Deviation(Struct, frozen=True):
    """What a reader changed of an event that it takes: a rule, the path of the field, what and why."""

    code: str
    field: str | None
    message: str
    suggestion: str | None = None


class Reader:
    """Reads one event. `said` is what was changed, by its sentence, at most SAID_MAX of them; `nulls` the
    paths of nulls that stand for absent fields, for which the event is refused."""

    def __init__(self, reading: Reading, *, converts: bool, takes_nulls: bool = False) -> None:
        """`converts`: parts of 0.x become those of 1.0, as the client does; `takes_nulls`: each null in place
        of an optional field is read as absent."""
        self._takes_nulls = takes_nulls
        self.said: dict[str, Deviation] = {}
        self.nulls: list[str] = []
        self.is_tolerant = reading is Reading.CLIENT
        self._converts = converts or self.is_tolerant
        self._kind: type[s.Event] = s.Event

    def event(self, members: dict[str, Raw], kind: type[s.Event]) -> bytes:
        """The JSON text of an event of this kind, as it is read."""
        self._kind = kind
        read = self._object(members, _type(kind), "")
        if read is None:
            raise AssertionError(
                f"a union stands in {kind.__name__} alone: then nothing absorbs what it drops"
            )
        return read

    def input(self, members: dict[str, Raw]) -> bytes:
        """The JSON text of a RunAgentInput, as it is read."""
        self._kind = s.RunStarted
        return self._object(members, _type(m.RunInput), "input") or b""

    def _value(self, text: bytes, kind: Any, path: str) -> bytes | None:
        """A value as it is read; None for an unknown member of a union, which is dropped."""
        if isinstance(kind, inspect.UnionType):
            return self._union(text, kind.types, path)
        if isinstance(kind, inspect.ListType) and text[:1] == b"[":
            return self._list(text, kind.item_type, path)
        if isinstance(kind, inspect.StructType) and text[:1] == b"{":
            return self._object(members_of(text), kind, path)
        return text

    def _union(self, text: bytes, kinds: tuple[Any, ...], path: str) -> bytes | None:
        if not isinstance(kinds[0], inspect.StructType):
            number = None if self.is_tolerant else _WHOLE.fullmatch(text)
            if number is not None and any(isinstance(kind, inspect.IntType) for kind in kinds):
                return number[1] + number[2]
            of_list = [kind for kind in kinds if isinstance(kind, inspect.ListType)]
            return self._value(text, of_list[0], path) if of_list else text
        if text[:1] != b"{":
            return text
        members = members_of(text)
        tag = text_of(members.get(str(kinds[0].tag_field)))
        older = tag == "binary" and self._converts
        if older and (media := self._media(members, path)) is not None:
            members, tag = media, text_of(media["type"])
        for kind in kinds:
            if tag == kind.tag:
                return self._object(members, kind, path)
        return None if self.is_tolerant or older else text

    def _list(self, text: bytes, kind: Any, path: str) -> bytes:
        read: list[Raw] = []
        for number, item in enumerate(_items_of(text)):
            place = f"{path}[{number}]"
            before = len(self.said)
            value = self._value(bytes(item), kind, place)
            if value is None:
                self._dropped(before, place, kind, bytes(item))
            else:
                read.append(Raw(value))
        return msgspec.json.encode(read)

    def _object(self, members: dict[str, Raw], kind: inspect.StructType, path: str) -> bytes | None:
        read: dict[str, Raw] = {}
        fields = _fields(kind.cls)
        for name, raw in members.items():
            place = f"{path}.{name}" if path else name
            field = fields.get(name)
            if field is None:
                if name == kind.tag_field or not kind.forbid_unknown_fields:
                    read[name] = raw
                else:
                    self._unknown(place, name, kind.cls, top=not path)
                continue
            text = bytes(raw)
            may_be_absent = not field.required or name == "subagentRunId"
            if text == NULL and may_be_absent and self._null(place, name, kind.cls):
                continue
            before = len(self.said)
            value = self._value(text, field.type, place)
            if value is not None:
                read[name] = Raw(value)
            elif field.required:
                return None
            else:
                self._dropped(before, place, field.type, text)
        if kind.cls in _ADDED and _ADDED[kind.cls][0] not in read:
            self._add(read, kind.cls)
        return msgspec.json.encode(read)

    def _add(self, read: dict[str, Raw], kind: type) -> None:
        """Add what the Python models add. Without the one role that there is, clients end the run; it is a
        warning all the same, for the contract's cases of order (7.6) leave it out."""
        name, text = _ADDED[kind]
        if self.is_tolerant and kind is not s.ReasoningMessageStart:
            return
        read[name] = Raw(text)
        if self.is_tolerant:
            said = "REASONING_MESSAGE_START has no role: the official client 1.0 ends the run here."
            self._say(Deviation("CLIENT_REFUSES", name, said))

    def _null(self, place: str, name: str, kind: type) -> bool:
        """Whether a null in place of an optional field is left out; if not, the event is refused."""
        of_media = issubclass(kind, m.MediaPart) and name == "metadata" and "messages[" in place
        if name == "rawEvent" or (kind, name) in _CONVERTED or of_media:
            said = f"{s.NAMES[self._kind]}.{_unnumbered(place)} is null: clients read it as absent."
            self._say(
                Deviation("PROTOCOL_0X", place, said, f"Leave {name} out: null is of AG-UI protocol 0.x.")
            )
            return True
        kept = issubclass(kind, s.Subagent) and name not in _EVENT
        if self._takes_nulls:
            return True
        if self.is_tolerant or kept or name in ("subagentRunId", "interruptIds"):
            self.nulls.append(place)
            return False
        return True

    def _say(self, deviation: Deviation) -> None:
        """Of the items of a list, one says it."""
        if len(self.said) < SAID_MAX:
            self.said.setdefault(deviation.message, deviation)

    def _unknown(self, place: str, name: str, kind: type, *, top: bool) -> None:
        """A field that the protocol does not have is dropped."""
        if not self.is_tolerant and not top:
            return
        event = s.NAMES[self._kind]
        if kind is s.RunFinished and name == "interrupt":
            said = "interrupt is of protocol 0.x: clients drop it, and take the run for a success."
            self._say(Deviation("PROTOCOL_0X", place, said, INTERRUPT))
            if self.is_tolerant:
                return
        if name in NEWER and self.is_tolerant:
            said = f"{name} is of protocol {NEWER[name]}: readers of 1.0 drop it."
            self._say(Deviation("PROTOCOL_NEWER", place, said))
            return
        where = f" in {_unnumbered(place.rpartition('.')[0])}" if not top else ""
        said = f"{event} has no field {quoted(name)}{where}; clients drop it."
        self._say(Deviation("UNKNOWN_FIELD", place, said))

    def _dropped(self, before: int, place: str, kind: Any, text: bytes) -> None:
        """A value of a form that the protocol does not have is dropped, and what was said within it is not
        said."""
        while len(self.said) > before:
            self.said.popitem()
        if b'"binary"' in text:
            said = f"{_unnumbered(place)} is a binary part of AG-UI protocol 0.x; clients drop it."
            self._say(Deviation("PROTOCOL_0X", place, said))
            return
        known = [str(each.tag) for each in getattr(kind, "types", ()) if isinstance(each, inspect.StructType)]
        said = f"{s.NAMES[self._kind]}.{_unnumbered(place)} is of an unknown kind; clients drop it."
        these = f"Known kinds: {', '.join(known)}." if known else None
        self._say(Deviation("UNKNOWN_MEMBER", place, said, these))

    def _media(self, members: dict[str, Raw], path: str) -> dict[str, Raw] | None:
        """The part of 1.0 for a binary part of a message of 0.x; None if the client does not convert it."""
        if "messages[" not in path:
            return None
        given = msgspec.json.decode(msgspec.json.encode(members), type=dict[str, Any])
        kind = given.get("mimeType")
        source = next((each for each in ("data", "url") if _is_true(given.get(each))), None)
        if not isinstance(kind, str) or source is None:
            return None
        media = kind.partition("/")[0]
        part = {
            "type": media if media in _MEDIA and "/" in kind else "document",
            "source": {"type": source, "value": given[source], "mimeType": kind},
        }
        said = f"A part of type binary in {_unnumbered(path)} is of AG-UI protocol 0.x; clients convert it."
        self._say(Deviation("PROTOCOL_0X", f"{path}.type", said))
        return members_of(msgspec.json.encode(part))


def read_input(data: bytes) -> m.RunInput:
    """The RunAgentInput of a JSON text, whatever library wrote it. Raises an error of NOT_DECODED."""
    reader = Reader(Reading.CLIENT, converts=True, takes_nulls=True)
    return msgspec.json.decode(reader.input(members_of(data)), type=m.RunInput)


def text_of(value: Raw | None) -> str | None:
    """A JSON text as a text; None for any other value."""
    try:
        return None if value is None else _text(value)
    except NOT_DECODED:
        return None


HOLD_OPAQUE = {s.MessagesSnapshot, s.ToolCallResult, s.RunStarted, s.RunFinished, s.SubagentFinished}
"""Kinds that hold optional values of any form besides `rawEvent`, also deeper."""


def opaque_null(value: object) -> bool:
    """Whether a decoded event has null in place of an optional field that the protocol does not look into:
    shapes take it."""
    if isinstance(value, list):
        return any(map(opaque_null, value))
    if not isinstance(value, Struct):
        return False
    for attribute, is_opaque in _optional(type(value)):
        part = getattr(value, attribute)
        if part is None:
            continue
        if (bytes(part) == NULL) if is_opaque else opaque_null(part):
            return True
    return False


@cache
def _optional(kind: type[Struct]) -> tuple[tuple[str, bool], ...]:
    """The attributes that hold optional values of any form, and those in which shapes are (false)."""
    found = []
    for field in _type(kind).fields:
        if isinstance(field.type, inspect.AnyType | inspect.RawType):
            if not field.required:
                found.append((field.name, True))
        elif isinstance(field.type, inspect.UnionType | inspect.ListType | inspect.StructType):
            found.append((field.name, False))
    return tuple(found)


@cache
def _type(kind: type[Struct]) -> inspect.StructType:
    return cast(inspect.StructType, inspect.type_info(kind))


@cache
def _fields(kind: type[Struct]) -> dict[str, inspect.Field]:
    """Wire name -> field."""
    return {field.encode_name: field for field in _type(kind).fields}


def _unnumbered(path: str) -> str:
    """A path without the numbers of items: one sentence for all of them."""
    return re.sub(r"\[\d+\]", "[]", path)


def _is_true(value: object) -> bool:
    """As in JavaScript, in which empty lists and objects are true."""
    return bool(value) or isinstance(value, list | dict)
