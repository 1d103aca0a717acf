"""Pieces of text that need no judging: what is found of a stream is what is found when each is judged."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.cli import validate
from dtvn.cli.repeats import Repeats
from dtvn.events.rules import Stream, Verdict
from tests.events.rules.samples import event
from tests.events.rules.test_validate_command import defaults

NOW = int(time.time() * 1000)
STARTS = [event("RS"), event("TS:m"), event("TS:n")]
PIECES = ["a", " word", "Grüße", "", "a:b", "javascript:", "x" * 1001, "\x07", '"', "\\", "\n", "\x7f", "😀"]
FORMS = [
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"timestamp":{at}}}',
    '{{"type": "TEXT_MESSAGE_CONTENT", "messageId": "{id}", "delta": {delta}, "timestamp": {at}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","timestamp":{at},"messageId":"{id}","delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","timestamp":{at},"messageId":"{id}","delta":{delta},"timestamp":{at}}}',
    '{{"delta":"x","type":"TEXT_MESSAGE_CONTENT","timestamp":{at}.5,"messageId":"{id}","delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","metadata":{{"timestamp":{at}}},"delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","more":{{"timestamp":{at}}},"delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","more":{{"delta":{delta}}}}}',
    '{{"type":"TOOL_CALL_ARGS","toolCallId":"{id}","delta":{delta}}}',
]
CONTENTS = st.builds(
    lambda form, name, delta, at, ascii_: form.format(
        id=name, delta=json.dumps(delta, ensure_ascii=ascii_), at=at
    ).encode(),
    st.sampled_from(FORMS),
    st.sampled_from(["m", "m", "m", "n", "z"]),
    st.sampled_from(PIECES[:3] * 4 + PIECES),
    st.sampled_from([NOW, NOW, NOW + 1, NOW + 60_000, NOW - 100_000_000, NOW * 10]),
    st.booleans(),
)
ODD = st.sampled_from([b"\xff", b'{"type":"PING"}', event("TE:m"), event("TS:m"), event("CU"), event("RF")])
STREAMS = st.lists(
    st.one_of(st.tuples(CONTENTS, st.integers(1, 200)), st.tuples(ODD, st.integers(1, 2))), max_size=8
)


def found(events: list[bytes], **options: Any) -> dict[str, Any]:
    out = io.StringIO()
    body = b"".join(b"data: " + each + b"\n\n" for each in events)
    validate.run(defaults(json=True, **options) | {"source": "-"}, io.BytesIO(body), out, io.StringIO())
    read: dict[str, Any] = json.loads(out.getvalue())
    return read


@given(stream=STREAMS, replaced=st.lists(st.tuples(st.integers(0, 2000), CONTENTS), max_size=4))
def test_what_is_found_is_what_is_found_of_each(
    stream: list[tuple[bytes, int]], replaced: list[tuple[int, bytes]]
) -> None:
    events = [*STARTS, *(text for text, many in stream for _ in range(many))]
    for place, text in replaced:
        events[place % len(events)] = text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: NOW / 1000)
        at_once = found(events)
        patch.setattr(Repeats, "last", lambda self, events, start, now_ms: start)
        assert at_once == found(events)


@pytest.mark.parametrize("form", [0, 1, 2, 3])
def test_nearly_all_pieces_of_a_message_are_not_judged(form: int, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []
    feed = Stream.feed

    def counted(self: Stream, data: bytes) -> Verdict:
        judged.append(data)
        return feed(self, data)

    monkeypatch.setattr(Stream, "feed", counted)
    texts = [FORMS[form].format(id="m", delta=f'" word {each}"', at=NOW).encode() for each in range(500)]
    events = [*STARTS, *texts, event("TE:m"), event("TE:n"), event("RF")]
    assert (found(events)["valid"], found(events)["events"]) == (True, 506)
    assert len(judged) < 40


def test_the_events_around_a_finding_are_shown_as_before() -> None:
    texts = [FORMS[0].format(id="m", delta=f'"{each}"', at=0).encode() for each in range(300)]
    body = b"".join(each + b"\n" for each in [*STARTS, *texts, event("TC:z"), *texts[:1]])
    out = io.StringIO()
    validate.run(defaults(skip=["advice"]) | {"source": "-"}, io.BytesIO(body), out, io.StringIO())
    lines = out.getvalue().splitlines()
    said = "MESSAGE_NOT_OPEN at event 303 (line 304)"
    at = next(number for number, line in enumerate(lines) if said in line)
    shown = [line.strip().removeprefix("> ").split()[0] for line in lines[at + 2 : at + 6]]
    assert shown == ["301", "302", "303", "304"]
