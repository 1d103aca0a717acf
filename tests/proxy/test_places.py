"""Where an event of the proxy may stand: inside a run, outside messages built of chunks, between events."""

from __future__ import annotations

from dtvn.proxy.places import Place
from tests.events.rules.samples import event
from tests.support.table import table

STARTED, FINISHED = event("RS"), event("RF")
CHUNK = event("TK", messageId="m", delta="a")


def after(*texts: bytes | None, end: bytes = b"\n\n") -> Place:
    place = Place()
    for text in texts:
        place.take((text or b": ping") + end, text)
    return place


@table(
    ("texts", "free"),
    [
        ([], False),
        ([STARTED], True),
        ([STARTED, FINISHED], False),
        ([STARTED, event("RE")], False),
        ([event("RE")], False),
        ([STARTED, FINISHED, event("RS:r2")], True),
        ([b'{"type":"PING"}'], False),
        ([STARTED, b'{"type":"PING"}'], True),
        ([STARTED, b"no JSON"], True),
        ([b"no JSON", STARTED], True),
        # Chunks of the agent itself, as long as nothing of its own has ended their message.
        ([STARTED, CHUNK], False),
        ([STARTED, CHUNK, b'{"type":"PING"}'], False),
        ([STARTED, CHUNK, None], False),
        ([STARTED, CHUNK, b'{"type":"RAW","event":1}'], False),
        ([STARTED, CHUNK, event("CU")], True),
        ([STARTED, CHUNK, event("CU", subagentRunId="s")], False),
        ([STARTED, event("TK", messageId="m", delta="a", subagentRunId="s")], True),
        ([STARTED, CHUNK, b'{"type":"MESSAGES_SNAPSHOT","messages":[]}'], True),
        # What only the rules refuse.
        ([STARTED, rb'{"type":"TEXT_MESSAGE_CHUNK","messageId":"m","delta":"\ud83d"}'], False),
        ([STARTED, rb'{"type":"RUN_FINISHED","result":"\ud83d"}'], False),
        ([STARTED, b'{"type":"RUN_FINISHED","result":' + b"9" * 5000 + b"}"], False),
        ([STARTED, b'{"type":"RUN_FINISHED"}'], False),
        ([STARTED, b'{"type":"CUSTOM","value":' + b"[" * 100_000 + b"]" * 100_000 + b"}"], False),
    ],
    count=23,
)
def test_free_places(texts: list[bytes | None], free: bool) -> None:
    assert after(*texts).free is free


def test_what_the_rules_refuse_ends_no_message_for_sure() -> None:
    place = after(STARTED, CHUNK)
    place.take(event("TE:z"), event("TE:z"), accepted=False)
    assert not place.free
    place.take(event("TE:m"), event("TE:m"))
    assert place.free


def test_a_run_ends_with_its_last_event_alone() -> None:
    place = after(STARTED)
    assert place.take(FINISHED, FINISHED)
    assert not place.take(FINISHED, FINISHED)
    assert not after().take(event("RE"), event("RE"))


def test_what_a_carriage_return_may_have_torn_is_no_place() -> None:
    """A client that takes only LF for the end of a line reads on where others see an event."""
    place = after(STARTED)
    place.take(b'data: {"a":\r\r', b'{"a":')
    assert place.torn
    assert not place.free
    place.take(b'"b"}\n\n', None)
    assert place.free
    assert after(STARTED, end=b"\r\n\r\n").free


def test_a_run_that_begins_after_an_error_is_read_again() -> None:
    place = after(STARTED, event("RE"))
    assert place.errored
    place.take(event("RS:r2"), event("RS:r2"))
    assert not place.errored
    place.take(event("RE"), event("RE"))
    assert place.errored
