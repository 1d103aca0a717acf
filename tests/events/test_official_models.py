"""The official Python models and encoder of AG-UI 1.0 are the oracle for shape."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any, get_args

import msgspec
import pytest
from ag_ui.core import Event, TextMessageStartEvent
from ag_ui.encoder import EventEncoder
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dtvn.events import EventReader
from dtvn.events.decoding import NOT_DECODED, known_fields
from dtvn.events.shapes import TYPES, decode_event
from tests.events.samples import FULL

OFFICIAL: TypeAdapter[Any] = TypeAdapter(Event)
JUNK = [
    None,
    True,
    0,
    -1,
    7,
    1.5,
    2.0,
    2**53,
    "",
    "x",
    "12",
    "/a",
    [],
    [1],
    {},
    {"type": "x"},
    "user",
    "tool",
]


def taken(data: bytes) -> bool:
    try:
        decode_event(data)
    except NOT_DECODED:
        return False
    return True


def taken_officially(data: bytes) -> bool:
    try:
        OFFICIAL.validate_json(data)
    except ValidationError:
        return False
    return True


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


@pytest.mark.parametrize("name", FULL)
def test_an_official_object_is_taken_with_every_field(name: str) -> None:
    """Encoded by the official encoder, framed and decoded here, and nothing of it is unknown."""
    official = OFFICIAL.validate_python(FULL[name])
    ((_, text),) = EventReader(1 << 20).feed(EventEncoder().encode(official).encode())
    assert json.loads(text) == FULL[name]
    assert type(decode_event(text)) is TYPES[name]
    assert set(FULL[name]) <= known_fields(TYPES[name])


def test_every_official_field_is_known_here() -> None:
    models = get_args(get_args(Event)[0])
    assert len(models) == 31
    for model in models:
        fields = model.model_fields
        known = known_fields(TYPES[fields["type"].default.value])
        assert {field.alias for field in fields.values()} == known, model


def test_the_official_encoder_writes_what_the_contract_says() -> None:
    encoded = EventEncoder().encode(TextMessageStartEvent(message_id="m"))
    assert encoded == 'data: {"type":"TEXT_MESSAGE_START","messageId":"m"}\n\n'


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, tuple[Any, ...], Any]:
    """An event with one value replaced or removed: its text, the place, and what stands there now."""
    event = deepcopy(FULL[draw(st.sampled_from(sorted(FULL)))])
    place = draw(st.sampled_from([path for path in places(event) if path]))
    *above, last = place
    holder: Any = event
    for key in above:
        holder = holder[key]
    if draw(st.booleans()):
        del holder[last]
        return json.dumps(event).encode(), place, "removed"
    holder[last] = draw(st.sampled_from(JUNK))
    return json.dumps(event).encode(), place, holder[last]


WHOLE = re.compile(r"timestamp|\w+Tokens")


@settings(max_examples=400)
@given(mutated())
def test_shapes_are_taken_as_by_the_official_models(case: tuple[bytes, tuple[Any, ...], Any]) -> None:
    data, place, value = case
    # pydantic reads true as 1 and 0 as false: the wire's own rules (JSON Schema, zod) do not.
    assume(not (isinstance(value, bool) and isinstance(place[-1], str) and WHOLE.fullmatch(place[-1])))
    assume(not (place[-1] == "replace" and not isinstance(value, bool)))
    # The rules of order refuse null here, with a code of their own.
    assume(not (value is None and place[-1] == "subagentRunId"))
    assert taken(data) == taken_officially(data), (place, value)


def test_what_is_taken_is_read_alike() -> None:
    for name, full in FULL.items():
        ours = msgspec.json.decode(msgspec.json.encode(decode_event(json.dumps(full).encode())))
        shared = {key: value for key, value in ours.items() if value is not None}
        assert shared.keys() == full.keys(), name
