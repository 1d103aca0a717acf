"""Questions and answers on the wire: one form each, bounded, versioned."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.events.asking import CHUNK_BYTES_MAX, EVENT_BYTES_MAX
from dtvn.events.asking.forms import (
    ANSWERS_BYTES_MAX,
    ASKS_BYTES_MAX,
    ASKS_MAX,
    STATE_BYTES_MAX,
    Asked,
    FormError,
    decode_answers,
    decode_asks,
)
from dtvn.events.judging import CHUNK_EVENTS_MAX
from tests.events.asking.support import GATEWAY, asked, body, judge
from tests.support.table import table

GIVEN = body(asked(), asked(b"x", number=2, state=b"s"))


def test_what_is_decoded_is_what_was_encoded() -> None:
    asks = decode_asks(GIVEN).asks
    assert [each.number for each in asks] == [1, 2]
    assert asks[1].state == b"s"


@table("place", range(len(GIVEN)), count=327)
def test_a_flipped_byte_is_refused_or_means_something_else(place: int) -> None:
    changed = GIVEN[:place] + bytes([GIVEN[place] ^ 1]) + GIVEN[place + 1 :]
    try:
        assert decode_asks(changed) != decode_asks(GIVEN)
    except FormError:
        return


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_raise_only_the_forms_error(data: bytes) -> None:
    for decode in (decode_asks, decode_answers):
        with pytest.raises(FormError):
            decode(data)


@table(
    "data",
    [
        body(asked(), version=2),
        body(),
        body(*[asked(number=number) for number in range(ASKS_MAX + 1)]),
        body(asked(b"x" * (EVENT_BYTES_MAX + 1))),
        body(asked(b"x" * CHUNK_BYTES_MAX, b"y")),
        body(asked(*[b"x"] * (CHUNK_EVENTS_MAX + 1))),
        body(asked(state=b"s" * (STATE_BYTES_MAX + 1))),
        body(Asked(1, asked().question, ((b"short", b"x"),))),
        b"x" * (ASKS_BYTES_MAX + 1),
    ],
    ids=["version", "none", "asks", "event", "chunk", "events", "state", "salt", "bytes"],
    count=9,
)
def test_what_is_beyond_a_bound_is_refused(data: bytes) -> None:
    with pytest.raises(FormError):
        decode_asks(data)


def test_answers_are_bounded_and_versioned() -> None:
    said = judge()
    said.put(GATEWAY, GIVEN, 0)
    ((_peer, answer),) = said.turn(lambda: 0)[0]
    assert decode_answers(answer).epoch == 3
    with pytest.raises(FormError, match="version"):
        decode_answers(answer[:1] + b"\x02" + answer[2:])
    with pytest.raises(FormError, match="more than"):
        decode_answers(bytes(ANSWERS_BYTES_MAX + 1))
