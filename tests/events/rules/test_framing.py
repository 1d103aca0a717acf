"""Events out of bytes: the three framings, in pieces of any size, and bounded."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.events.rules import EventReader, FramingError
from dtvn.events.rules import framing as framings
from tests.support.table import table

EVENTS = [b'{"type":"RUN_STARTED"}', b'{"a":"\xc3\xa9"}', b'{"b":{"c":[1,2]}}', b'{"b":{"c":[1,2]}}']
NDJSON = b"\r\n".join([EVENTS[0], b"", *EVENTS[1:]])
SSE = (
    b": comment\r\nevent: message\r\nid: 1\r\ndata: "
    + EVENTS[0]
    + b'\r\n\r\ndata:{"a":\ndata:"\xc3\xa9"}\n\nretry: 10\n\ndata: '
    + EVENTS[2]
    + b"\r\rdata: "
    + EVENTS[3]
)
LIST = b" [" + b",\n".join(EVENTS) + b"]"
LINES = {"ndjson": [1, 3, 4, 5], "sse": [4, 6, 11, 13], "list": [1, 2, 3, 4]}
WHOLE = {"ndjson": NDJSON, "sse": SSE, "list": LIST}


def read(data: bytes, cuts: list[int], event_bytes: int = 1000) -> list[tuple[int, bytes]]:
    reader = EventReader(event_bytes)
    found = []
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        found += reader.feed(data[start:end])
    return found + reader.end()


@pytest.mark.parametrize("form", WHOLE)
@given(cuts=st.lists(st.integers(0, 400), max_size=12))
def test_the_same_events_however_they_are_cut(form: str, cuts: list[int]) -> None:
    found = read(WHOLE[form], cuts)
    assert [json.loads(text) for _, text in found] == [json.loads(text) for text in EVENTS]
    assert [line for line, _ in found] == LINES[form]


def test_an_event_of_a_list_that_is_written_over_several_lines_is_at_its_first() -> None:
    pretty = b'[\n  {\n    "a": 1\n  },\n\n  {"b": 2}, {\n    "c": 3\n  }\n]\n'
    assert [line for line, _ in read(pretty, [])] == [2, 6, 6]
    assert [line for line, _ in read(b"[{\n},\n{\n}, {}]", [])] == [1, 3, 4]


@table("form", WHOLE, count=3)
def test_byte_by_byte(form: str) -> None:
    assert read(WHOLE[form], list(range(400))) == read(WHOLE[form], [])


FIELDS = [b"data: {}", b"data:1", b"data: ", b"data:", b"data", b"id: 1", b": c", b"x", b" "]
ENDS = [b"\n", b"\n\n", b"\r"]


@given(
    parts=st.lists(st.sampled_from(FIELDS + ENDS * 3), max_size=30),
    cuts=st.lists(st.integers(0, 200), max_size=4),
)
def test_whole_events_at_once_are_those_byte_by_byte(parts: list[bytes], cuts: list[int]) -> None:
    """Events of one line are cut out many at once, and all others line by line."""
    data = b": begun\n\ndata: {}\n\n" + b"".join(parts)
    assert read(data, cuts, 20) == read(data, list(range(len(data))), 20)


@pytest.mark.parametrize("prefix", [b"", b"data: "])
def test_of_an_event_that_is_too_large_one_byte_more_is_kept(prefix: bytes) -> None:
    ((_, text), *_) = read(prefix + b'{"a":"' + b"x" * 5000 + b'"}\n\n', list(range(0, 5000, 7)), 100)
    assert 100 < len(text) <= 106


def test_lines_of_one_event_are_bounded_together() -> None:
    ((_, text),) = read(b"data: {}\n" * 1000 + b"\n", [], 100)
    assert 100 < len(text) < 110


_NO_EVENTS = [
    b"<html>",
    b"HTTP/1.1 200 OK\r\n",
    b"hello world",
    b"\0",
    b"  data: {}\n\n",
    b'event: x\nDATA: {"a":1}\n\n',
    b"x: 1\n" * 20_000,
]


@table("data", _NO_EVENTS, count=7)
def test_input_that_holds_no_events_raises_framing_error(data: bytes) -> None:
    with pytest.raises(FramingError):
        read(data, [])


def test_further_lines_make_an_event_of_the_largest_size_too_large() -> None:
    ((_, text),) = read(b"data: " + b"x" * 100 + b"\ndata: more\n\n", [], 100)
    assert len(text) == 101, "the rules refuse it by its size"


@table("data", [b"[{}", b"[1,", b"[\xff]", b"[" * 100_000], count=4)
def test_a_malformed_list_raises_framing_error(data: bytes) -> None:
    with pytest.raises(FramingError):
        read(data, [])


def test_a_too_long_list_raises_framing_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framings, "LIST_BYTES_MAX", 10)
    with pytest.raises(FramingError, match="one a line"):
        read(LIST, [])


@table("data", [b"", b" \n", b"\xef\xbb\xbf"], count=3)
def test_an_empty_stream_has_no_events(data: bytes) -> None:
    assert read(data, list(range(9))) == []


@table("form", WHOLE, count=3)
def test_a_byte_order_mark_is_passed_over(form: str) -> None:
    assert read(b"\xef\xbb\xbf" + WHOLE[form], [1, 2]) == read(WHOLE[form], [])


def test_endless_white_space_raises_framing_error() -> None:
    with pytest.raises(FramingError):
        read(b"\n" * 100_000, [])


@table("head", [b"x: 1\n", b"data\n\n", b"hello\n\n\n", b"\n" * 300], count=4)
def test_clients_pass_over_unknown_fields_and_empty_events(head: bytes) -> None:
    line = head.count(b"\n") + 1
    assert read(head + b"data: {}\n\n", list(range(400))) == [(line, b"{}")]


def test_an_empty_line_of_an_event_is_part_of_its_text() -> None:
    assert read(b"data: {\ndata:\ndata: }\n\n", []) == [(1, b"{\n\n}")]


@table(("end", "told"), [(b"\r\n", "CRLF"), (b"\r", "CR"), (b"\n", None)], count=3)
@table("size", [1, 2, 3, 1000], count=4)
def test_line_ends_are_told_however_a_stream_is_cut(end: bytes, told: str | None, size: int) -> None:
    reader = EventReader(1024)
    data = end.join([b"data: {}", b"", b"data: {}", b"", b""])
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    assert reader.line_ends == told


@table("size", [1, 3, 1000], count=3)
def test_line_ends_of_comments_do_no_harm(size: int) -> None:
    reader = EventReader(1024)
    data = b": ping\r\n\r\ndata: {}\n\n: ping\r\n\r\ndata: {}\n\n"
    found = [event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size])]
    assert ([text for _, text in found], reader.line_ends) == ([b"{}", b"{}"], None)


def test_what_is_said_to_be_server_sent_events_is_read_as_nothing_else() -> None:
    reader = EventReader(1024, is_sse=True)
    assert reader.feed(b': hi\n\n{"a": 1}\n[]\n') == reader.end() == []
    assert (reader.form, reader.unframed) == ("sse", 3)
