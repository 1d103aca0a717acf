"""Streams that mean the same do not differ, whatever else they differ in; what means something is found."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.events.meaning import ABSENT, Difference, Meaning, aligning, differences
from tests.events.meaning.support import Manner, Told, called, folded, meaning, run, snapshot, stream
from tests.events.rules.samples import event
from tests.support.table import table

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=6,
)
NAME = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda name: name not in ("text", "reasoning"))
SAID = st.tuples(st.sampled_from(["text", "reasoning"]), WORD, st.none()) | st.tuples(
    NAME, st.dictionaries(WORD, JSON, max_size=3).map(json.dumps), st.none() | WORD
)
TOLD = st.builds(
    Told,
    st.lists(SAID, max_size=6),
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), JSON, max_size=3),
    st.none() | WORD,
)


@st.composite
def manners(draw: st.DrawFn) -> Manner:
    length, prefix = draw(st.integers(1, 9)), draw(st.from_regex(r"[a-z0-9]{12}", fullmatch=True))
    return Manner(
        cut=lambda text: [text[at : at + length] for at in range(0, len(text), length)],
        name=lambda sort, number: f"{prefix}-{sort}-{number}",
        chunks=draw(st.booleans()),
        by_delta=draw(st.booleans()),
        time=draw(st.none() | st.integers(0, 2**40)),
    )


@given(TOLD, manners(), manners())
def test_a_run_that_is_cut_and_named_in_another_way_means_the_same(
    told: Told, one: Manner, other: Manner
) -> None:
    first, second = folded(stream(told, one)), folded(stream(told, other))
    assert (first.refusal, second.refusal) == (None, None)
    assert differences(first.meaning(), second.meaning()) == []
    outcomes = first.meaning().outcomes
    assert [each["type"] for each in outcomes] == ["success" if told.error is None else "error"]


@given(TOLD, manners(), manners(), st.data())
def test_one_changed_word_is_found(told: Told, one: Manner, other: Manner, data: st.DataObject) -> None:
    texts = [place for place, (sort, _, _) in enumerate(told.said) if sort in ("text", "reasoning")]
    if not texts:
        return
    place = data.draw(st.sampled_from(texts))
    sort, text, _ = told.said[place]
    word = data.draw(WORD.filter(lambda word: word != text))
    changed = Told([*told.said], told.state, told.error)
    changed.said[place] = sort, word, None
    found = differences(meaning(stream(told, one)), meaning(stream(changed, other)))
    assert {each.where for each in found} == {"message"}
    before, after = Counter(texts_in(found, "one")), Counter(texts_in(found, "other"))
    assert (before - after, after - before) == (Counter([text]), Counter([word]))


def texts_in(found: list[Difference], side: str) -> list[str]:
    """The texts that these differences show on one side: several may move, if some are alike."""
    values = [getattr(each, side) for each in found]
    return [value["text"] if isinstance(value, dict) else value for value in values if value is not ABSENT]


def test_a_word_is_found_at_its_place() -> None:
    told = [("text", "It is sunny in Rome.", None), ("weather", '{"city": "Rome", "days": 3}', "sunny")]
    changed = [("text", "It is rainy in Rome.", None), ("weather", '{"days":3.0,"city":"Milan"}', "sunny")]
    plain = Manner(lambda text: [text], lambda sort, number: f"{sort}{number}")
    one, other = (meaning(stream(Told(each, {"a": [1, 2]}), plain)) for each in (told, changed))
    assert differences(one, other) == [
        Difference("message", 1, "assistant", "/text", told[0][1], changed[0][1]),
        Difference("call", 1, "weather", "/arguments/city", "Rome", "Milan"),
    ]


def state_of(value: Any) -> list[bytes]:
    return [event("RS"), snapshot(value), event("RF")]


def test_the_state_is_compared_by_its_parts() -> None:
    one, other = {"a/b": 1, "l": [1, 2, 3], "x": {"y": None}}, {"a/b": 2, "l": [0, 1, 2, 3], "x": {}}
    found = differences(meaning(state_of(one)), meaning(state_of(other)))
    assert [(each.where, each.at, each.one, each.other) for each in found] == [
        ("state", "/a~1b", 1, 2),
        ("state", "/l/0", ABSENT, 0),
        ("state", "/x/y", None, ABSENT),
    ]


@table(("one", "other"), [(True, 1), (None, False), ("1", 1), ([], {}), (0, False)], count=5)
def test_values_of_other_types_differ(one: Any, other: Any) -> None:
    (found,) = differences(meaning(state_of({"x": one})), meaning(state_of({"x": other})))
    assert (found.at, found.one, found.other) == ("/x", one, other)


def test_what_is_inserted_does_not_make_the_rest_differ() -> None:
    said = [("text", f"Message {number}", None) for number in range(30)]
    plain = Manner(lambda text: [text], lambda sort, number: f"{sort}{number}")
    more = [*said[:10], ("text", "New", None), *said[10:]]
    found = differences(meaning(stream(Told(said), plain)), meaning(stream(Told(more), plain)))
    assert found == [Difference("message", 11, "assistant", "", ABSENT, {"text": "New"})]


@table(("text", "value"), [("hello", '"hello"'), ("NaN", '"NaN"'), ("[1", '"[1"')], count=3)
def test_arguments_that_are_no_json_are_not_the_text_of_the_same_letters(text: str, value: str) -> None:
    found = differences(run(*called("c", text)), run(*called("c", value)))
    assert [(each.at, each.one, each.other) for each in found] == [
        ("/arguments_text", text, ABSENT),
        ("/arguments", ABSENT, text),
    ]


def test_a_result_in_parts_is_not_their_text() -> None:
    parts = [{"type": "text", "text": "a"}]
    found = differences(run(*called("c", "{}", parts)), run(*called("c", "{}", json.dumps(parts))))
    assert [each.at for each in found] == ["/parts", "/result"]


def test_interrupts_differ_in_what_they_tell_a_client() -> None:
    def interrupted(**more: Any) -> Meaning:
        outcome = {"type": "interrupt", "interrupts": [{"id": "i", "reason": "approval"} | more]}
        return meaning([event("RS"), json.dumps(json.loads(event("RF")) | {"outcome": outcome}).encode()])

    dated = [interrupted(expiresAt=f"202{year}-01-01T00:00:00Z") for year in (0, 6)]
    assert differences(*dated) == []
    assert len(differences(dated[0], interrupted())) == 1
    assert len(differences(interrupted(metadata={"sum": 1}), interrupted(metadata={"sum": 2}))) == 1


def test_calls_are_paired_by_content_then_by_arguments_then_by_tool() -> None:
    rome, paris = '{"city": "Rome"}', '{"city": "Paris"}'
    one = run(*called("c", rome, "clear"))
    for order in ((rome, paris), (paris, rome)):
        other = run(*(part for city in order for part in called(city, city, "clear")))
        (found,) = differences(one, other)
        assert (found.one, found.other) == (ABSENT, {"arguments": {"city": "Paris"}, "result": "clear"})
    changed = run(*called("p", paris, "clear"), *called("r", rome, "storm"))
    found_all = differences(one, changed)
    assert [(each.number, each.other_number, each.at) for each in found_all] == [
        (1, None, ""),
        (1, 2, "/result"),
    ]
    renamed = differences(one, run(*called("m", '{"city": "Milan"}', "clear")))
    assert [each.at for each in renamed] == ["/arguments/city"]


def test_outcomes_are_compared_run_by_run() -> None:
    finished = [event("RS"), event("RF")]
    failed = [event("RS:r2"), event("RE")]
    found = differences(meaning([*finished, *failed]), meaning(finished))
    assert [(each.where, each.number, each.other) for each in found] == [("outcome", 2, ABSENT)]
    unfinished = meaning([event("RS")])
    assert unfinished.outcomes == ({"type": "unfinished"},)


def test_behind_a_refused_event_nothing_counts_and_that_event_does() -> None:
    found = folded([event("RS"), event("TC:z"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF")])
    assert found.refusal is not None
    refused = {"type": "refused", "code": "MESSAGE_NOT_OPEN", "event": event("TC:z").decode()}
    assert (found.meaning().items, found.meaning().outcomes) == ((), (refused,))
    other = folded([event("RS"), event("TC:y")])
    assert [each.where for each in differences(found.meaning(), other.meaning())] == ["outcome"]


def test_a_text_that_is_nested_too_deep_stays_a_text() -> None:
    deep = "[" * 500 + "]" * 500
    plain = Manner(lambda text: [text], lambda sort, number: f"{sort}{number}")
    (item,) = meaning(stream(Told([("tool", deep, deep)]), plain)).items
    assert item.value == {"arguments_text": deep, "result": deep}


def test_lists_that_are_too_long_to_align_are_compared_place_by_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aligning, "EDITS_MAX", 1)
    found = differences(meaning(state_of([7, 1, 2, 3, 9])), meaning(state_of([7, 2, 2, 4, 9])))
    assert [(each.at, each.one, each.other) for each in found] == [("/1", 1, 2), ("/3", 3, 4)]
