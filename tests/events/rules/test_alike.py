"""Pieces of text that are compared and not judged: what is found of a stream is what is found of it event by
event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.events.advice import Profile
from dtvn.events.rules import ACCEPTED, Alike, Stream, Verdict, refused
from dtvn.events.rules.alike import WINDOW
from dtvn.events.rules.limits import SCAN_FROM
from dtvn.events.rules.lint import AHEAD_MS
from dtvn.events.validation import Checker
from dtvn.events.validation_config import VALIDATION_PRESETS, ValidationConfig
from tests.events.rules.samples import event
from tests.support.table import table

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
    """Events of one form, most of them plain, with few that are not, and few of another form beside them."""
    form = draw(st.sampled_from(FORMS * 4 + ODD_FORMS))
    name = draw(st.sampled_from("mmmmnz"))
    usual = draw(st.sampled_from([PIECES[:2], PIECES[:3], PIECES]))
    odd = draw(
        st.dictionaries(st.integers(0, 30), st.tuples(st.sampled_from(PIECES), st.sampled_from(TIMES)))
    )
    beside = draw(
        st.dictionaries(st.integers(0, 30), st.sampled_from([*FORMS, *ODD_FORMS, *ODD]), max_size=2)
    )
    ascii_only = draw(st.booleans())
    made: list[bytes] = []
    at = NOW
    for number in range(draw(st.integers(1, 30))):
        text, later = odd.get(number, (usual[number % len(usual)], number % 3))
        at += later
        delta = json.dumps(text, ensure_ascii=ascii_only)
        made.append(form.format(id=name, delta=delta, at=at).encode())
        other = beside.get(number)
        if isinstance(other, str):
            other = other.format(id=name, delta=delta, at=at).encode()
        if other is not None:
            made.append(other)
        at -= later if abs(later) > 10 else 0
    return made


STREAMS = st.lists(rows() | st.lists(st.sampled_from(ODD), max_size=1), max_size=8).map(
    lambda found: [*STARTS, *(each for row in found for each in row)]
)


def checked(
    events: list[bytes],
    cuts: list[int],
    config: ValidationConfig,
    now_ms: int | None,
    judged: list[Verdict] | None = None,
    *,
    first: bool = False,
) -> tuple[dict[str, Any], object]:
    """All that is found, and what the rules hold at the end."""
    checker = Checker(config)
    numbered = [*enumerate(events, 1)]
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        verdicts = None if judged is None else judged[begin:end]
        if not checker.take(numbered[begin:end], now_ms, verdicts, first=first):
            break
    stream = checker.stream
    held = stream.index, stream.event, stream.state.encoded()
    checker.end()
    return vars(checker.report), held


@pytest.mark.ci
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
    between = [event("SS:a"), event("SF:a")]
    events = [*STARTS, *pieces[:99], *between, *pieces[99:], *ENDS]
    alone, _ = checked(events, [*range(1, len(events))], ValidationConfig(), NOW + 10_000)
    monkeypatch.setattr(Stream, "feed", counted)
    found, _ = checked(events, [], ValidationConfig(), NOW + 10_000)
    assert found == alone
    assert (found["code"], found["events"]) == (None, len(events))
    assert len(judged) < 28


TIMED, UNTIMED = FORMS[1], FORMS[0]
SEED = ValidationConfig(profile=Profile.SEED)


def pieces(form: str, count: int, at: int = NOW) -> list[bytes]:
    """Plain pieces of message m, one each millisecond."""
    return [
        form.format(id="m", delta=f'" word {number}"', at=at + number).encode() for number in range(count)
    ]


def told(
    events: list[bytes],
    config: ValidationConfig | None = None,
    cuts: list[int] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """What is found in batches that end at `cuts`, which is what is found event by event."""
    config = config or ValidationConfig()
    alone = checked(events, [*range(1, len(events))], config, NOW + 10_000, **options)
    found = checked(events, cuts or [], config, NOW + 10_000, **options)
    assert found == alone
    return found[0]


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {code: count for code, count in found["counts"].items() if code != "STREAM_NOT_TERMINATED"}


def with_delta(delta: str) -> str:
    """A timed piece with this JSON text."""
    return TIMED.replace("{delta}", delta)


def with_time(at: str) -> str:
    return TIMED.replace("{at}", at)


@table("place", [1, 5, 10], count=3)
@table(
    ("form", "code"),
    [
        (with_delta('"line\u2028separator"'), None),
        (with_delta('"soft\u00adhyphen"'), None),
        (with_delta('"next\u0085line"'), None),
        (with_delta('"no \udcff UTF-8"'), "NOT_JSON"),
        (with_delta('"cut \udcc3"'), "NOT_JSON"),
        (with_delta('"\x07"'), "NOT_JSON"),
        (with_delta('"see javascript:x"'), "CONTENT_VALIDATION"),
        (with_delta('"at 12:30"'), None),
        (with_delta(f'"{"x" * 1_000}"'), None),
        (with_delta(f'"{"x" * 1_001}"'), "CONTENT_VALIDATION"),
        (with_delta('""'), "EMPTY_DELTA"),
        (with_delta("null"), "FIELD_INVALID"),
        (with_delta('"\\""'), None),
        (with_delta('"\\n"'), None),
        (with_delta('"\\\\"'), None),
        (with_delta('"\\\\","more":"\\\\"'), "UNKNOWN_FIELD"),
        (with_delta('"\\u0000"'), "CONTENT_VALIDATION"),
        (with_delta('"x","more":1'), "UNKNOWN_FIELD"),
        (with_delta('"x","metadata":null'), "NULL_NOT_ALLOWED"),
        (with_delta('"x","metadata":{{"timestamp":1}}'), None),
        (with_delta('"x","delta":""'), "EMPTY_DELTA"),
        (with_delta(' "x"'), None),
        (with_time("17957540788850"), "TIMESTAMP_VALIDATION"),
        (with_time("179575407888"), "TIMESTAMP_VALIDATION"),
        (with_time("{at}.0"), None),
        (with_time("{at}.5"), "FIELD_INVALID"),
        (with_time("-{at}"), "TIMESTAMP_VALIDATION"),
        (with_time("0{at}"), "NOT_JSON"),
        (with_time("0179575407888"), "NOT_JSON"),
        (with_time('"{at}"'), "FIELD_INVALID"),
        (with_time(str(NOW - 1)), "TIMESTAMP_VALIDATION"),
        (with_time(str(NOW + 15_001)), "TIMESTAMP_VALIDATION"),
        (TIMED.replace("{id}", 'm\\",\\"delta\\":\\"x'), "MESSAGE_NOT_OPEN"),
        (TIMED.replace("{id}", "other"), "MESSAGE_NOT_OPEN"),
        (TIMED + "\n" + TIMED, "NOT_JSON"),
        (TIMED[:-2] + "\n}}", None),
        (TIMED.replace(",", "\n,"), None),
        (UNTIMED, None),
    ],
    count=38,
)
def test_what_is_odd_in_a_row_is_said(form: str, code: str | None, place: int) -> None:
    row = pieces(TIMED, 10)
    odd = form.format(id="m", delta='"x"', at=NOW + place).encode(errors="surrogateescape")
    events = [*STARTS[:2], *row[:place], odd, *row[place:]]
    said = counts(told(events)) | counts(told(events, SEED))
    assert code is None or code in said


def test_each_timestamp_ahead_of_now_is_said() -> None:
    events = [*STARTS[:2], *pieces(TIMED, 5), *pieces(TIMED, 5, NOW + 15_001)]
    assert counts(told(events, SEED))["TIMESTAMP_VALIDATION"] == 1 + 5


def test_timestamps_of_more_digits_are_compared_as_numbers() -> None:
    now = (NOW + 3) * 10 - AHEAD_MS
    events = [*STARTS[:2], *pieces(with_time("{at}0"), 9)]
    found, held = checked(events, [], SEED, now)
    assert (found, held) == checked(events, [*range(1, len(events))], SEED, now)
    assert counts(found)["TIMESTAMP_VALIDATION"] == 1 + 5


def test_a_row_of_which_something_is_to_be_said_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    is_time_told = Alike._has_time_advice

    def counted(self: Alike, row: Any, texts: list[bytes]) -> bool:
        compared.append(len(texts))
        return is_time_told(self, row, texts)

    monkeypatch.setattr(Alike, "_has_time_advice", counted)
    events = [*STARTS[:2], *pieces(TIMED, 99), *pieces(TIMED, 1)]
    checked(events, [], ValidationConfig(), NOW + 10_000)
    assert compared == [99]


def test_a_piece_of_a_message_that_has_ended_is_refused() -> None:
    row = pieces(UNTIMED, 9)
    found = told([*STARTS[:2], *row, event("TE:m"), *row, *ENDS])
    assert (found["code"], found["delivered"]) == ("MESSAGE_NOT_OPEN", 12)


def test_pieces_of_two_messages_that_alternate_are_told_apart() -> None:
    both = [piece for one in pieces(TIMED, 20) for piece in (one, one.replace(b'"m"', b'"n"'))]
    found = told([*STARTS[:3], *both, event("TE:n"), *both])
    assert counts(found)["MESSAGE_NOT_OPEN"] == 20
    assert found["delivered"] == 3 + 40 + 2


def test_a_piece_ends_the_chunks_of_its_agent_alone() -> None:
    chunk = event("KK:c", toolCallName="n", delta="{]")
    others = event("KK:d", toolCallName="n", delta="{}", subagentRunId="s")
    row = pieces(UNTIMED, 9)
    events = [*STARTS[:2], event("GS:s"), *row, others, *row, chunk, *row, event("KA:c"), event("KK:d")]
    found = told(events)
    assert [(each.code, each.index) for each in found["findings"][:2]] == [
        ("ARGUMENTS_NOT_JSON", 3 + 9 + 1 + 9 + 1),
        ("TOOL_CALL_NOT_OPEN", 3 + 9 + 1 + 9 + 1 + 9),
    ]
    assert "ended at event 23" in found["findings"][1].message
    assert found["severities"]["error"] == 1


def test_own_validators_see_each_piece() -> None:
    seen: list[str] = []

    def see(given: Any) -> None:
        seen.append(given.delta if hasattr(given, "delta") else "")

    row = pieces(TIMED, 30)
    checked([*STARTS[:2], *row], [], ValidationConfig(custom_validators=(see,)), NOW)
    assert seen == ["", "", *(f" word {number}" for number in range(30))]


def test_an_event_of_0x_between_pieces_is_converted() -> None:
    thinking = [b'{"type":"THINKING_START"}', b'{"type":"THINKING_END"}']
    row = pieces(TIMED, 5)
    events = [*STARTS[:2], *row, *thinking, *row]
    found = told(events)
    assert (found["code"], counts(found)["PROTOCOL_0X"]) == (None, 2)
    assert told(events, ValidationConfig(profile=Profile.SEED))["code"] == "PROTOCOL_0X"


@table("first", [False, True], count=2)
@table("place", [2, 3, 7, 11], count=4)
def test_the_verdicts_of_a_cluster_count_for_each_piece(place: int, first: bool) -> None:
    events = [*STARTS[:2], *pieces(TIMED, 10)]
    verdicts = [ACCEPTED] * len(events)
    verdicts[place] = refused(place, "MESSAGE_NOT_OPEN", "The cluster refused it.")
    found = told(events, judged=verdicts, first=first)
    assert (found["code"], found["delivered"]) == ("MESSAGE_NOT_OPEN", place)
    assert found["events"] == (place + 1 if first else len(events))


def test_the_first_refusal_behind_a_row_ends_the_check() -> None:
    found = told([*STARTS[:2], *pieces(TIMED, 9), event("RS"), *pieces(TIMED, 9)], first=True)
    assert (found["code"], found["events"]) == ("RUN_ALREADY_ACTIVE", 12)


@table("count", [WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 2 * WINDOW + 1], count=5)
@table("odd", [b"", b'{"type":"PING"}', TIMED.format(id="m", delta='""', at=NOW).encode()], count=3)
def test_a_row_ends_anywhere_about_the_border_of_what_is_compared_at_once(count: int, odd: bytes) -> None:
    events = [*STARTS[:2], *pieces(TIMED, count), *([odd] if odd else []), *pieces(TIMED, 3, NOW + count)]
    found = told(events)
    assert found["events"] == len(events)
    assert counts(found).keys() - {"RUN_INCOMPLETE", "MESSAGE_INCOMPLETE"} == {
        b"": set(),
        b'{"type":"PING"}': {"UNKNOWN_EVENT_TYPE"},
    }.get(odd, {"EMPTY_DELTA", "TIMESTAMP_VALIDATION"})


@table("cut", range(1, 12), count=11)
def test_a_row_goes_on_in_the_next_batch(cut: int) -> None:
    events = [*STARTS[:2], *pieces(TIMED, 8), TIMED.format(id="m", delta='"x"', at=NOW - 100).encode()]
    found = told(events, cuts=[cut] if cut < len(events) else [])
    assert counts(found)["TIMESTAMP_VALIDATION"] == 1


def test_the_events_around_a_violation_behind_a_row_are_shown() -> None:
    row = pieces(TIMED, 6)
    found = told([*STARTS[:2], *row, event("TS:m"), *row])
    (shown,) = (each for each in found["shown"] if each.violation.code == "MESSAGE_ALREADY_OPEN")
    assert shown.line == 9
    assert shown.before == [(6, row[4].decode()), (7, row[5].decode())]
    assert shown.after == (9, row[0].decode())


def test_an_event_that_is_measured_first_is_compared_with_none() -> None:
    events = [(line, text + b" " * SCAN_FROM) for line, text in enumerate(pieces(UNTIMED, 9), 1)]
    assert Alike(events, None).last(0, timed=False) == 0
