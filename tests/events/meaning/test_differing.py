"""Streams that mean the same do not differ, whatever else they differ in; what means something is found."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.events.meaning import ABSENT, Difference, aligning, differences
from dtvn.events.meaning.aligning import blocks, gaps
from tests.events.meaning.support import Manner, Told, folded, meaning, stream
from tests.events.rules.samples import event

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


def snapshot(value: Any) -> bytes:
    return json.dumps({"type": "STATE_SNAPSHOT", "snapshot": value}).encode()


def test_the_state_is_compared_by_its_parts() -> None:
    one, other = {"a/b": 1, "l": [1, 2, 3], "x": {"y": None}}, {"a/b": 2, "l": [0, 1, 2, 3], "x": {}}
    found = differences(meaning(state_of(one)), meaning(state_of(other)))
    assert [(each.where, each.at, each.one, each.other) for each in found] == [
        ("state", "/a~1b", 1, 2),
        ("state", "/l/0", ABSENT, 0),
        ("state", "/x/y", None, ABSENT),
    ]


@pytest.mark.parametrize(("one", "other"), [(True, 1), (None, False), ("1", 1), ([], {}), (0, False)])
def test_values_of_other_types_differ(one: Any, other: Any) -> None:
    (found,) = differences(meaning(state_of({"x": one})), meaning(state_of({"x": other})))
    assert (found.at, found.one, found.other) == ("/x", one, other)


def test_what_is_inserted_does_not_make_the_rest_differ() -> None:
    said = [("text", f"Message {number}", None) for number in range(30)]
    plain = Manner(lambda text: [text], lambda sort, number: f"{sort}{number}")
    more = [*said[:10], ("text", "New", None), *said[10:]]
    found = differences(meaning(stream(Told(said), plain)), meaning(stream(Told(more), plain)))
    assert found == [Difference("message", 11, "assistant", "", ABSENT, {"text": "New"})]


def test_ids_in_the_state_are_known_and_short_words_are_not_taken_for_ids() -> None:
    def run(message: str, word: str) -> list[bytes]:
        kept = {"messages": [{"id": message, "content": word}], "thread": "t"}
        said = [event(f"{kind}:{message}") for kind in ("TS", "TC", "TE")]
        return [event("RS"), *said, snapshot(kept), event("RF")]

    assert differences(meaning(run("message-1234", "x")), meaning(run("message-9876", "x"))) == []
    assert len(differences(meaning(run("message-1234", "x")), meaning(run("message-1234", "y")))) == 1
    assert len(differences(meaning(run("m1", "x")), meaning(run("m2", "x")))) == 1


def test_outcomes_are_compared_run_by_run() -> None:
    finished = [event("RS"), event("RF")]
    failed = [event("RS:r2"), event("RE")]
    found = differences(meaning([*finished, *failed]), meaning(finished))
    assert [(each.where, each.number, each.other) for each in found] == [("outcome", 2, ABSENT)]
    unfinished = meaning([event("RS")])
    assert unfinished.outcomes == ({"type": "unfinished"},)


def test_behind_a_refused_event_nothing_counts() -> None:
    found = folded([event("RS"), event("TC:z"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF")])
    assert found.refusal is not None
    assert (found.meaning().items, found.meaning().outcomes) == (
        (),
        ({"type": "refused", "code": "MESSAGE_NOT_OPEN"},),
    )


def test_a_text_that_is_nested_too_deep_stays_a_text() -> None:
    deep = "[" * 500 + "]" * 500
    plain = Manner(lambda text: [text], lambda sort, number: f"{sort}{number}")
    (item,) = meaning(stream(Told([("tool", deep, deep)]), plain)).items
    assert item.value == {"arguments": deep, "result": deep}


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_gaps_and_what_is_alike_make_up_both_lists(one: list[int], other: list[int]) -> None:
    for found in (blocks(one, other), [*blocks(one, [*other, 9])]):
        assert all(one[a : a + size] == other[b : b + size] for a, b, size in found)
    rebuilt, kept = [], 0
    for a1, a2, b1, b2 in gaps(one, other):
        rebuilt += one[kept:a1] + other[b1:b2]
        kept = a2
    assert rebuilt + one[kept:] == other


def test_lists_that_are_too_long_to_align_are_compared_place_by_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aligning, "PAIRS_MAX", 3)
    found = differences(meaning(state_of([7, 1, 2, 3, 9])), meaning(state_of([7, 2, 2, 4, 9])))
    assert [(each.at, each.one, each.other) for each in found] == [("/1", 1, 2), ("/3", 3, 4)]
