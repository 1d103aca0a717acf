"""The overlay's messages: one form, bounded, and nothing else is decoded (R45)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.overlay import messages as o
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import GOSSIP_BYTES_MAX
from dtvn.sync import Item

ITEM = Item(b"a" * 32, "address", "", 1, b"value", False, b"s" * 64)
ONE_OF_EACH: list[o.Message] = [
    o.Join(ITEM),
    o.ForwardJoin(ITEM, 6),
    o.Neighbour(True, ITEM),
    o.NeighbourReply(False, (ITEM,)),
    o.Disconnect(),
    o.Shuffle(7, 3, (ITEM, ITEM)),
    o.ShuffleReply(7, ()),
    o.Closest(1, b"t" * 32),
    o.Records(1, (ITEM,)),
    o.Rumour(3, (ITEM,)),
    o.Exchange(b"body"),
]


def test_each_kind_has_a_number_and_all_are_shown_here() -> None:
    assert {type(message) for message in ONE_OF_EACH} == set(o.KINDS.values())


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda each: type(each).__name__)
def test_what_is_encoded_is_decoded(message: o.Message) -> None:
    assert o.decode(o.encode(message)) == message


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda each: type(each).__name__)
def test_a_message_with_more_behind_it_or_cut_off_is_refused(message: o.Message) -> None:
    body = o.encode(message)
    for other in (body + b"\0", body[:-1]):
        with pytest.raises(o.OverlayMessageError):
            o.decode(other)


def raw(kind: int, *fields: object) -> bytes:
    return bytes((kind,)) + canonical.encode(fields)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x90",
        raw(6, 1, 3, [ITEM] * (o.SHUFFLE_MAX + 1)),
        raw(6, 1, o.TTL_MAX + 1, []),
        raw(2, ITEM, -1),
        raw(16, 1, b"t" * 31),
        raw(16, 1, b"t" * 33),
        raw(17, 1, [ITEM] * (o.CLOSEST_MAX + 1)),
        raw(32, 1, []),
        raw(32, 1, [ITEM] * (o.ITEMS_MAX + 1)),
        raw(32, o.TTL_MAX + 1, [ITEM]),
        raw(33, b""),
        raw(5, 1),
        bytes((33,)) + canonical.encode([bytes(GOSSIP_BYTES_MAX)]),
    ],
)
def test_what_is_out_of_bounds_or_unknown_is_refused(body: bytes) -> None:
    with pytest.raises(o.OverlayMessageError):
        o.decode(body)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_decoder_fail_otherwise(body: bytes) -> None:
    try:
        message = o.decode(body)
    except o.OverlayMessageError:
        return
    assert o.encode(message) == body, "one message has one form"


@given(st.lists(st.integers(0, 30_000), max_size=80))
def test_items_are_cut_to_what_fits_a_frame(sizes: list[int]) -> None:
    items = tuple(Item(b"a" * 32, "k", "", 1, bytes(size), False, b"s" * 64) for size in sizes)
    told = o.fitting(items)
    assert told == items[: len(told)]
    if told:
        assert len(o.encode(o.Rumour(o.TTL_MAX, told))) <= GOSSIP_BYTES_MAX
    assert told or not items
