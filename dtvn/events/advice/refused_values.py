"""Values that the rules take and the official client 1.0 does not: it ends the run at a null in place of a
field that is left out, and at numbers written as texts. Of a few nulls it says only that they are of 0.x."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dtvn.events.rules import Violation, listed, warning
from dtvn.events.rules import shapes as s

CONVERTED = {
    (s.ToolCallStart, "parentMessageId"),
    (s.ToolCallChunk, "parentMessageId"),
    (s.RunFinished, "outcome"),
}
"""Nulls that clients read as absent; also those of `_ANYWHERE`."""
_COUNTED = (s.RunFinished, s.RunError)
"""Kinds that count tokens."""
FORMED = {*_COUNTED, s.ReasoningMessageStart}
"""Kinds of which `refused_form` may say something beside their timestamp."""
_ANYWHERE = {"rawEvent", "result"}
_NULLS = "Leave out fields that have no value: model_dump(exclude_none=True) of the Python models does."
_members = msgspec.json.Decoder(dict[str, Raw])


def refused_nulls(data: bytes, event: s.Event, index: int) -> Iterator[Violation]:
    """A warning if nulls of the accepted event at `index` end the run in the official client."""
    nulls = [
        path for path in _nulls(event, _members.decode(data), "") if (type(event), path) not in CONVERTED
    ]
    if nulls:
        said = f"Null: {listed(nulls)}. The official client 1.0 ends the run here."
        yield replace(warning(index, "CLIENT_REFUSES", nulls[0], said), suggestion=_NULLS)


def refused_form(data: bytes, event: s.Event, index: int) -> list[Violation]:
    """A warning for each number that is a text in the accepted event at `index`, and for a missing role."""
    found: list[Violation] = []
    texts = ["timestamp"] if type(event.timestamp) is str else []
    if isinstance(event, _COUNTED) and event.usage:
        texts += [
            f"usage[{number}].{name}"
            for number, usage in enumerate(event.usage)
            for name, (attribute, _) in _names(type(usage)).items()
            if name.endswith("Tokens") and isinstance(getattr(usage, attribute), str)
        ]
    if texts:
        said = f"Numbers that are texts: {listed(texts)}. The official client 1.0 ends the run here."
        refused = warning(index, "CLIENT_REFUSES", texts[0], said)
        found.append(replace(refused, suggestion="Send numbers as numbers."))
    # An event of 0.x has another type in the data.
    if (
        type(event) is s.ReasoningMessageStart
        and data.find(b'"role"') < 0
        and data.find(b'"REASONING_MESSAGE_START"') >= 0
    ):
        said = "REASONING_MESSAGE_START has no role: the official client 1.0 ends the run here."
        found.append(warning(index, "CLIENT_REFUSES", "role", said))
    return found


def converted_nulls(data: bytes, event: s.Event) -> Iterator[str]:
    """Names of the fields whose null clients read as absent, as a form of protocol 0.x."""
    for name, value in _members.decode(data).items():
        known = name in _ANYWHERE and name in _names(type(event))
        if bytes(value) == b"null" and (known or (type(event), name) in CONVERTED):
            yield name


@cache
def _names(kind: type[Struct]) -> dict[str, tuple[str, bool]]:
    """Wire name -> attribute, and whether its value is of any form."""
    return {field.encode_name: (field.name, _is_open(field.type)) for field in msgspec.structs.fields(kind)}


def _is_open(kind: Any) -> bool:
    return kind is Raw or Raw in getattr(kind, "__args__", ())


def _nulls(value: Struct, given: dict[str, Raw], above: str) -> Iterator[str]:
    for name, (attribute, is_open) in _names(type(value)).items():
        text = given.get(name)
        if text is None or is_open:
            continue
        path = f"{above}{name}"
        part = getattr(value, attribute)
        if part is None:
            yield path
        elif isinstance(part, Struct):
            yield from _nulls(part, _members.decode(text), f"{path}.")
        elif isinstance(part, list) and any(isinstance(each, Struct) for each in part):
            for number, (each, raw) in enumerate(
                zip(part, msgspec.json.decode(text, type=list[Raw]), strict=True)
            ):
                if isinstance(each, Struct):
                    yield from _nulls(each, _members.decode(raw), f"{path}[{number}].")
