"""The official Python models and encoder of AG-UI 1.0 are the oracle for shape."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any, get_args

import msgspec
from ag_ui.core import Event, TextMessageStartEvent
from ag_ui.encoder import EventEncoder
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dtvn.events.rules import EventReader, Stream
from dtvn.events.rules.shapes import TYPES, decode_event
from tests.events.rules.samples import FULL
from tests.support.table import table

OFFICIAL: TypeAdapter[Any] = TypeAdapter(Event)
REMOVED = "(removed)"
OF_SUBAGENTS = {"description", "parentSubagentRunId", "parentToolCallId", "parentMessageId", "code"}
OF_SUBAGENTS |= {"outcome", "interruptIds"}
WHOLE = re.compile(r"timestamp|\w+Tokens")
VALUES = [
    REMOVED,
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


def known_fields(name: str) -> set[str]:
    return {"type", *(field.encode_name for field in msgspec.structs.fields(TYPES[name]))}


def taken(data: bytes) -> bool:
    """By the reading of the models, as the profile `seed` has it."""
    return Stream(order=False).feed(data).accepted


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


@table("name", FULL, count=31)
def test_an_official_object_is_taken_with_every_field(name: str) -> None:
    """Encoded by the official encoder, framed and decoded here, and nothing of it is unknown."""
    official = OFFICIAL.validate_python(FULL[name])
    ((_, text),) = EventReader(1 << 20).feed(EventEncoder().encode(official).encode())
    assert json.loads(text) == FULL[name]
    assert type(decode_event(text)) is TYPES[name]
    assert set(FULL[name]) <= known_fields(name)


def test_every_official_field_is_known_here() -> None:
    models = get_args(get_args(Event)[0])
    assert len(models) == 31
    for model in models:
        fields = model.model_fields
        known = known_fields(fields["type"].default.value)
        assert {field.alias for field in fields.values()} == known, model


def test_the_official_encoder_writes_what_the_contract_says() -> None:
    encoded = EventEncoder().encode(TextMessageStartEvent(message_id="m"))
    assert encoded == 'data: {"type":"TEXT_MESSAGE_START","messageId":"m"}\n\n'


def changed(event: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of the event with another value at a place, or without it if the value is REMOVED."""
    event = deepcopy(event)
    *above, last = place
    holder: Any = event
    for key in above:
        holder = holder[key]
    if value is REMOVED:
        del holder[last]
    else:
        holder[last] = value
    return event


def comparable(place: tuple[Any, ...], value: Any) -> bool:
    """Whether both sides are to agree about this value at this place."""
    last = place[-1]
    if value is None and (last == "subagentRunId" or last in OF_SUBAGENTS):
        # The rules of order refuse it, with a code of their own.
        return False
    if isinstance(last, str) and WHOLE.fullmatch(last):
        # pydantic reads true as 1: JSON Schema and zod do not.
        return not isinstance(value, bool)
    return last != "replace" or isinstance(value, bool) or value is REMOVED


def differences(event: dict[str, Any], place: tuple[Any, ...], value: Any) -> list[str]:
    data = json.dumps(changed(event, place, value)).encode()
    return [] if taken(data) == taken_officially(data) else [f"{event['type']} {place} {value!r}"]


@table("name", FULL, count=31)
def test_each_value_of_an_event_is_judged_as_officially(name: str) -> None:
    event = FULL[name]
    found = [
        each
        for place in places(event)[1:]
        for value in VALUES
        if comparable(place, value)
        for each in differences(event, place, value)
    ]
    assert found == []


@settings(max_examples=300)
@given(st.sampled_from(sorted(FULL)), st.data())
def test_events_changed_at_two_places_are_judged_as_officially(name: str, data: st.DataObject) -> None:
    event = FULL[name]
    for last in (False, True):
        place = data.draw(st.sampled_from(places(event)[1:]))
        value = data.draw(st.sampled_from([each for each in VALUES if comparable(place, each)]))
        if last:
            assert differences(event, place, value) == []
        else:
            event = changed(event, place, value)
            assume(len(places(event)) > 1)


def test_decoding_loses_no_field_of_any_type() -> None:
    for name, full in FULL.items():
        ours = msgspec.json.decode(msgspec.json.encode(decode_event(json.dumps(full).encode())))
        shared = {key: value for key, value in ours.items() if value is not None}
        assert shared.keys() == full.keys(), name
