"""Pieces of text that are compared and not judged: what is found of a stream is what is found of it event by
event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.events.advice import Profile
from dtvn.events.rules import Stream, Verdict
from dtvn.events.rules.alike import WINDOW
from dtvn.events.validation import Checker
from dtvn.events.validation_config import VALIDATION_PRESETS, ValidationConfig
from tests.events.rules.samples import event

NOW = 1_795_754_078_885
CONFIGURATIONS = [
    *VALIDATION_PRESETS.values(),
    ValidationConfig(profile=Profile.SEED),
    ValidationConfig(accept_protocol_0x=True, skip_field_validation=True),
    ValidationConfig(custom_validators=(lambda event: [("SEEN", None, type(event).__name__)],)),
]
FORMS = [
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"timestamp":{at}}}',
    '{{"type": "TEXT_MESSAGE_CONTENT", "messageId": "{id}", "delta": {delta}, "timestamp": {at}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","timestamp":{at},"messageId":"{id}","delta":{delta}}}',
    '{{"delta":{delta},"timestamp":{at} ,"messageId":"{id}","type":"REASONING_MESSAGE_CONTENT"}}',
    '{{"type":"REASONING_MESSAGE_CONTENT","messageId":"{id}","delta":{delta}}}',
    '{{"type":"TOOL_CALL_ARGS","toolCallId":"c","delta":{delta}}}',
]
ODD_FORMS = [
    '{{"type":"TEXT_MESSAGE_CONTENT","timestamp":{at},"messageId":"{id}","delta":{delta},"timestamp":{at}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"delta":"x"}}',
    '{{"delta":"x","type":"TEXT_MESSAGE_CONTENT","timestamp":{at}.0,"messageId":"{id}","delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"timestamp":{at}.5}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"timestamp":{at}0}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"timestamp":-{at}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"timestamp":"{at}"}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"metadata":null}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","metadata":{{"timestamp":{at}}},"delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","more":{{"delta":{delta}}}}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}\\\\","delta":{delta},"more":1}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta},"subagentRunId":"s"}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta}\n}}',
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta}}}\n'
    '{{"type":"TEXT_MESSAGE_CONTENT","messageId":"{id}","delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CHUNK","messageId":"{id}","delta":{delta}}}',
    '{{"type":"TEXT_MESSAGE_CHUNK","messageId":"k","delta":{delta},"subagentRunId":"s"}}',
    "{{}}",
]
PIECES = ["a", " word", "Grüße", "12:30", "", "JavaScript:x", "javaſcript:", "x" * 1000, "x" * 1001]
PIECES += ["\x07", "\x7f", '"', "\\", "/", "\n", "\u2028", "😀", '","timestamp":1', '"delta":"']
TIMES = [0, 0, 1, 7, -1, 6_000, -100_000_000, NOW * 9, -NOW + 5]
REASONING = b'{"type":"REASONING_MESSAGE_%b","messageId":"m","role":"reasoning"}'
ODD = [b"\xff", b'{"type":"PING"}', b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"\xff"}']
ODD += [REASONING % b"START", REASONING % b"END"]
ODD += [*map(event, ("TE:m", "TS:m", "TE:n", "TS:n", "GS:s", "KE:c", "KS:c", "RF", "RS", "RE"))]
STARTS = [event("RS"), event("TS:m"), event("TS:n"), REASONING % b"START", event("KS:c")]
ENDS = [event("TE:m"), event("TE:n"), REASONING % b"END", event("KE:c"), event("RF")]


@st.composite
def rows(draw: st.DrawFn) -> list[bytes]:
    """Events of one form, most of them plain, with few that are not."""
    form = draw(st.sampled_from(FORMS * 4 + ODD_FORMS))
    name = draw(st.sampled_from("mmmmnz"))
    usual = draw(st.sampled_from([PIECES[:2], PIECES[:3], PIECES]))
    odd = draw(
        st.dictionaries(st.integers(0, 30), st.tuples(st.sampled_from(PIECES), st.sampled_from(TIMES)))
    )
    ascii_only = draw(st.booleans())
    made, at = [], NOW
    for number in range(draw(st.integers(1, 30))):
        text, later = odd.get(number, (usual[number % len(usual)], number % 3))
        at += later
        delta = json.dumps(text, ensure_ascii=ascii_only)
        made.append(form.format(id=name, delta=delta, at=at).encode(errors="surrogatepass"))
        at -= later if abs(later) > 10 else 0
    return made


STREAMS = st.lists(rows() | st.lists(st.sampled_from(ODD), max_size=1), max_size=8).map(
    lambda found: [*STARTS, *(each for row in found for each in row)]
)


def checked(
    events: list[bytes], cuts: list[int], config: ValidationConfig, now_ms: int | None
) -> tuple[dict[str, Any], object]:
    """All that is found, and what the rules hold at the end."""
    checker = Checker(config)
    numbered = [*enumerate(events, 1)]
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        checker.take(numbered[begin:end], now_ms)
    stream = checker.stream
    held = stream.index, stream.event, stream.state.encoded()
    checker.end()
    return vars(checker.report), held


@settings(max_examples=400)
@given(
    events=STREAMS,
    places=st.sets(st.integers(1, 240), max_size=4),
    config=st.sampled_from(CONFIGURATIONS),
    now_ms=st.sampled_from([None, NOW, NOW + 5, NOW - 4_990, NOW + 100_000_000]),
)
def test_what_is_found_is_what_is_found_event_by_event(
    events: list[bytes], places: set[int], config: ValidationConfig, now_ms: int | None
) -> None:
    cuts = sorted(place for place in places if place < len(events))
    one_by_one = [*range(1, len(events))]
    assert checked(events, cuts, config, now_ms) == checked(events, one_by_one, config, now_ms)


@pytest.mark.parametrize("form", FORMS[:6])
@pytest.mark.parametrize("text", ["word", "Grüße"])
def test_most_pieces_of_a_message_are_not_judged(
    form: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = []
    feed = Stream.feed

    def counted(self: Stream, data: bytes) -> Verdict:
        judged.append(data)
        return feed(self, data)

    pieces = [
        form.format(id="m", delta=f'"{text} {number}"', at=NOW + number).encode()
        for number in range(2 * WINDOW)
    ]
    events = [*STARTS, *pieces, *ENDS]
    alone, _ = checked(events, [*range(1, len(events))], ValidationConfig(), NOW + 10_000)
    monkeypatch.setattr(Stream, "feed", counted)
    found, _ = checked(events, [], ValidationConfig(), NOW + 10_000)
    assert found == alone
    assert (found["code"], found["events"]) == (None, len(events))
    assert len(judged) < 20
