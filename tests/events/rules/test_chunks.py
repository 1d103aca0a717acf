"""Chunks: the contract's cases K1 to K10, executed on the official expansion 1.0.0, and what a refusal leaves
open."""

from __future__ import annotations

from dtvn.events.rules import Stream
from dtvn.events.rules.chunks import Expansion, ending, expand
from dtvn.events.rules.shapes import NAMES, Event, decode_event
from tests.events.rules.samples import event
from tests.support.table import table

SHORT = {
    "RUN_STARTED": "RS",
    "RUN_FINISHED": "RF",
    "TEXT_MESSAGE_START": "TS",
    "TEXT_MESSAGE_CONTENT": "TC",
    "TEXT_MESSAGE_END": "TE",
    "TOOL_CALL_START": "KS",
    "TOOL_CALL_ARGS": "KA",
    "TOOL_CALL_END": "KE",
    "RAW": "RW",
}
A, B = event("TK", messageId="m1", delta="a"), event("TK", delta="b")
CASES: dict[str, tuple[list[bytes], str, str | None]] = {
    "K1": ([event("RS"), A, B, event("RF")], "RS TS TC TC TE RF", None),
    "K2": ([event("RS"), B], "RS", "CHUNK_MISSING_ID"),
    "K3": (
        [event("RS"), A, event("TK", messageId="m2", delta="b"), event("RF")],
        "RS TS TC TE TS TC TE RF",
        None,
    ),
    "K4": ([event("RS"), event("KK", toolCallId="c")], "RS", "CHUNK_MISSING_NAME"),
    "K5": ([event("RS"), A, event("RW"), B, event("RF")], "RS TS TC RW TC TE RF", None),
    "K5 custom": ([event("RS"), A, event("CU"), B], "RS TS TC TE CUSTOM", "CHUNK_MISSING_ID"),
    "K6": (
        [event("RS"), event("TK", messageId="m1", role="user"), event("TK", role="assistant")],
        "RS TS",
        "CHUNK_FIELD_CONFLICT",
    ),
    "K7": ([event("RS"), A], "RS TS TC", None),
    "K8": (
        [event("RS"), A, event("KK", toolCallId="c", toolCallName="n", delta="{"), event("RF")],
        "RS TS TC TE KS KA KE RF",
        None,
    ),
    "K9": (
        [
            event("RS"),
            event("TK", messageId="m1", subagentRunId="s1"),
            event("TK", messageId="m2", subagentRunId="s2"),
            event("TK", delta="x"),
        ],
        "RS TS TS",
        "CHUNK_AMBIGUOUS",
    ),
    "K10": ([event("RS"), event("TK", messageId="m1"), event("RF")], "RS TS TE RF", None),
}


def expanded(stream: Stream, data: bytes) -> list[Event]:
    expansion = expand(stream.state.lanes, decode_event(data), stream.limits.id_characters)
    if not isinstance(expansion, Expansion):
        return []
    return [*(ending(lane) for lane in expansion.closed), *expansion.events]


@table(("events", "becomes", "code"), CASES.values(), ids=CASES, count=11)
def test_a_chunk_expands_to_the_events_that_it_stands_for(
    events: list[bytes], becomes: str, code: str | None
) -> None:
    stream, seen, refused = Stream(), [], None
    for data in events:
        parts = expanded(stream, data)
        refused = stream.feed(data).code
        seen += [SHORT.get(NAMES[type(part)], NAMES[type(part)]) for part in parts if refused is None]
    assert (" ".join(seen), refused) == (becomes, code)


def test_a_chunk_of_another_agent_cannot_continue_a_stream() -> None:
    stream = Stream()
    stream.feed(event("RS"))
    stream.feed(event("TK", messageId="m1", subagentRunId="s1"))
    assert stream.feed(event("TK", messageId="m1", subagentRunId="s2")).code == "OWNER_MISMATCH"


def test_a_refused_opener_leaves_the_stream_before_it_open() -> None:
    stream = Stream()
    for data in (event("RS"), event("TS:m2"), A):
        assert stream.feed(data).accepted
    before = stream.state.encoded()
    assert stream.feed(event("TK", messageId="m2", delta="b")).code == "MESSAGE_ALREADY_OPEN"
    assert stream.state.encoded() == before
    assert stream.feed(B).accepted


def test_a_chunk_after_the_end_of_its_run_is_late_before_all() -> None:
    stream = Stream()
    for data in (event("RS"), event("RF")):
        stream.feed(data)
    assert stream.feed(B).code == "RUN_ALREADY_FINISHED"


def test_run_error_ends_every_chunked_stream() -> None:
    stream = Stream()
    for data in (
        event("RS"),
        A,
        event("TK", messageId="m2", subagentRunId="s1"),
        event("RE"),
        event("RS:r2"),
    ):
        assert stream.feed(data).accepted
    assert stream.feed(B).code == "CHUNK_MISSING_ID"


def test_run_error_may_come_after_a_chunked_message_of_another_owner_ended() -> None:
    """The end without a tag leaves the subagent's lane open (the contract's rule 17: RUN_ERROR always)."""
    stream = Stream()
    for data in (event("RS"), event("TK:m", delta="a", subagentRunId="s"), event("TE:m"), event("RE")):
        assert stream.feed(data).accepted
    assert stream.feed(event("RS:r2")).accepted
