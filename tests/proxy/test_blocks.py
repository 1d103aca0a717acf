"""Streams cut between their events: not one byte is lost, however they arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dtvn.events.rules import EventReader, FramingError
from dtvn.proxy.blocks import Block, Blocks
from dtvn.proxy.media import holds_events
from tests.support.table import table

LINES = st.sampled_from(
    [b": c", b"data: {}", b'data: {"a":', b"data: 1}", b"id: 7", b"", b"", b"event: x", b"data"]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=12).map(lambda lines: b"".join(map(b"".join, lines)))


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def blocks_of(pieces: list[bytes]) -> list[Block]:
    blocks = Blocks(1000)
    return [*(block for piece in pieces for block in blocks.feed(piece)), *blocks.end()]


@given(STREAMS, st.lists(st.integers(0, 200), max_size=6))
@example(b"data: {}\r\n\r\ndata: {}\r\n\r\n", [9, 11])
def test_blocks_hold_every_byte_and_the_readers_events(body: bytes, places: list[int]) -> None:
    stream = b": begin\n\n" + body
    reader = EventReader(1000)
    expected = [text for _, text in [*reader.feed(stream), *reader.end()]]
    found = blocks_of(cut(stream, places))
    assert b"".join(block.raw for block in found) == stream
    assert [block.text for block in found if block.text is not None] == expected
    for block in found:
        assert (block.text is not None) or not holds_data(block.raw)


def holds_data(raw: bytes) -> bool:
    """Whether bytes that pass without a verdict could be read as an event with the bytes of the next."""
    return any(
        line.startswith(b"data:") and line != b"data:" for line in raw.replace(b"\r", b"\n").split(b"\n")
    )


def test_comments_and_ids_pass_before_the_next_event() -> None:
    blocks = Blocks(1000)
    found = [list(blocks.feed(piece)) for piece in (b": c\n", b"\n", b"id: 1\n\n", b"data: {}\n", b"\n")]
    assert found == [
        [],
        [Block(b": c\n\n", None, False)],
        [Block(b"id: 1\n\n", None, False)],
        [],
        [Block(b"data: {}\n\n", b"{}", False)],
    ]


def test_bytes_after_what_cannot_be_events_are_kept() -> None:
    blocks = Blocks(1000)
    assert list(blocks.feed(b"<html>\n<p>\n</html>")) == []
    with pytest.raises(FramingError):
        list(blocks.end())
    assert blocks.drained() == b"<html>\n<p>\n</html>"


def test_a_block_whose_beginning_was_drained_says_so() -> None:
    blocks = Blocks(10)
    assert list(blocks.feed(b'data: {"a":"0123456789')) == []
    assert blocks.held == 22
    assert blocks.drained() == b'data: {"a":"0123456789'
    assert blocks.held == 0, "they are no longer here"
    (block,) = blocks.feed(b'"}\n\n')
    assert (block.raw, block.begun, len(block.text or b"")) == (b'"}\n\n', True, 11)


@table(
    ("head", "found"),
    [
        (b"", None),
        (b"\xef\xbb\xbf", None),
        (b"dat", None),
        (b"data:", True),
        (b": hello", True),
        (b"retry: 5", True),
        (b"datum: 5", False),
        (b'{"ty', None),
        (b'{ "type" : "RUN_', None),
        (b'{"type":"RUN_STARTED"', True),
        (b'{"type":"object"', False),
        (b'{"typed"', None),
        (b'{"typed":[', False),
        (b'{"status":"ok"}', False),
        (b"<html", False),
        (b'[{"type":"RUN_STARTED"', False),
        (b" " * 300, False),
    ],
    count=17,
)
def test_the_first_bytes_tell_whether_a_body_holds_events(head: bytes, found: bool | None) -> None:
    assert holds_events(head) is found
