"""The memory of a run: its canonical bytes and digest, its bounds, and what a refused event leaves of it."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dtvn.events.rules import Limits, RunState, StateError, Stream, decode_state, rules_digest, state_digest
from dtvn.events.rules.state import StateForm
from tests.events.rules.samples import FULL, event
from tests.support.table import table

SMALL = Limits(open_items=3, owners=12, id_characters=16)
IDS = st.sampled_from(["a", "b", "c", "x" * 17])
TAGS = st.sampled_from([{}, {}, {"subagentRunId": "s1"}, {"subagentRunId": "s2"}, {"subagentRunId": None}])
NAMED = ["messageId", "toolCallId", "stepName", "entityId", "parentMessageId", "parentSubagentRunId"]
TYPES = [*FULL, "THINKING_START"]
REST = {
    "delta": "d",
    "toolCallName": "n",
    "content": "c",
    "snapshot": 1,
    "name": "n",
    "value": 1,
    "event": 1,
    "subtype": "message",
    "encryptedValue": "v",
    "activityType": "t",
    "patch": [],
    "message": "m",
    "threadId": "t",
    "runId": "r",
    "messages": [{"id": "a", "role": "reasoning", "content": "c", "subagentRunId": "s1"}],
}


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """Any event, with few ids, so that they meet; now and then one without a field that it needs."""
    name = draw(st.sampled_from(TYPES))
    given: dict[str, Any] = {"type": name} | REST | {field: draw(IDS) for field in NAMED[:4]} | draw(TAGS)
    if name == "ACTIVITY_SNAPSHOT":
        given["content"] = {}
    for field in NAMED[4:]:
        if draw(st.booleans()):
            given[field] = draw(IDS)
    for field in draw(st.lists(st.sampled_from(["delta", "messageId", "toolCallId", "runId"]), max_size=1)):
        del given[field]
    return json.dumps(given).encode()


class Refused(RuleBasedStateMachine):
    """Whatever comes: a refused event changes no state; every state has one form and stays within bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream(SMALL)
        self.twin = RunState(SMALL)

    @rule(data=events())
    def feed(self, data: bytes) -> None:
        before = self.stream.state.encoded()
        verdict = self.stream.feed(data)
        after = self.stream.state.encoded()
        assert verdict.accepted or after == before, verdict
        # A validator that took the state over by its bytes judges alike, and comes to the same bytes.
        other = Stream(SMALL, self.twin)
        assert (other.feed(data).code, other.state.encoded()) == (verdict.code, after)
        self.twin = decode_state(after, SMALL)

    @precondition(lambda self: self.stream.index == 0)
    @rule()
    def begin(self) -> None:
        self.feed(event("RS"))

    @invariant()
    def bounded(self) -> None:
        state = self.stream.state
        assert state.open_items() <= SMALL.open_items
        maps = (state.owners_message, state.owners_call, state.owners_reasoning, state.owners_activity)
        assert max(map(len, maps)) <= SMALL.owners


TestRefused = Refused.TestCase
TestRefused.settings = settings(max_examples=40, stateful_step_count=40)


def fed(*data: bytes, limits: Limits | None = None) -> Stream:
    stream = Stream(limits)
    for each in data:
        assert stream.feed(each).accepted
    return stream


def test_the_digest_is_of_the_state_and_not_of_the_way_to_it() -> None:
    one = fed(event("RS"), event("TS:a"), event("TS:b"), event("TE:a"), event("TE:b"), event("TS:b"))
    other = fed(event("RS"), event("TS:a"), event("TC:a"), event("TS:b"), event("TE:a"), event("CU"))
    assert one.state.digest() == other.state.digest() == state_digest(one.state.encoded())
    assert one.state.digest() != fed(event("RS"), event("TS:a"), event("TS:b")).state.digest()


def test_what_is_open_is_sorted_in_the_canonical_form() -> None:
    names = [f"id-{number}" for number in range(20)]
    opened = [event(f"{code}:{name}") for name in reversed(names) for code in ("TS", "KS", "GS")]
    form = msgspec.msgpack.decode(fed(event("RS"), *opened).state.encoded(), type=StateForm)
    assert [*form.messages] == [*form.calls] == [*form.subagents] == sorted(names)


def test_the_digest_of_a_known_state_stays() -> None:
    """The form is signed: it changes with STATE_VERSION only."""
    state = fed(event("RS"), event("TS:a", subagentRunId="s"), event("TK", messageId="b", delta="x")).state
    assert state.digest().hex() == "79a611f5cf65255db691918792bad4cd8fc3816de52ea47b1a9648338340988d"


def test_outside_a_run_nothing_is_remembered() -> None:
    ended = fed(event("RS"), event("TS:a"), event("TE:a"), event("AS:b"), event("RF")).state
    assert ended.encoded() == fed(event("RS"), event("RF")).state.encoded()
    assert fed(event("RS"), event("TS:a"), event("RE")).state.encoded() == fed(event("RE")).state.encoded()


def changed(form: StateForm, **fields: Any) -> bytes:
    return msgspec.msgpack.encode(msgspec.structs.replace(form, **fields))


def test_bytes_that_are_no_state_are_refused() -> None:
    data = fed(
        event("RS"), event("TS:b"), event("TS:a"), event("GS:s"), event("TK", messageId="c")
    ).state.encoded()
    form = msgspec.msgpack.decode(data, type=StateForm)
    assert decode_state(changed(form), Limits()).encoded() == data
    forged = [
        data + b"\0",
        data[:-1],
        changed(form, version=2),
        changed(form, messages=("b", "a", "c")),
        changed(form, messages=("a", "a", "b", "c")),
        changed(form, messages=("a", "b", "c", "d")),
        changed(form, calls=("a",)),
        changed(form, spans=("a",)),
        changed(form, closed=("s",)),
        changed(form, phase=2),
        changed(form, lanes=form.lanes * 2),
        changed(form, subagents=tuple(f"{number:03}" for number in range(300))),
    ]
    for bad in forged:
        with pytest.raises(StateError):
            decode_state(bad, Limits())


def test_no_more_than_the_limit_is_open() -> None:
    stream = fed(event("RS"), event("TS:a"), event("KS:a"), event("GS:a"), limits=SMALL)
    assert stream.feed(event("TS:b")).code == "TOO_MANY_OPEN"
    assert stream.feed(event("TE:a")).accepted
    assert stream.feed(event("TS:b")).accepted


@table("code", ["TS", "KS", "GS", "AS"], count=4)
def test_a_long_id_is_refused(code: str) -> None:
    assert fed(event("RS"), limits=SMALL).feed(event(f"{code}:{'x' * 17}")).code == "ID_TOO_LONG"


def test_of_many_owners_the_oldest_are_forgotten() -> None:
    stream = fed(event("RS"), event("TS:open", subagentRunId="s"), limits=SMALL)
    for number in range(20):
        for code in ("TS", "TE"):
            assert stream.feed(event(f"{code}:{number}", subagentRunId="s")).accepted
    assert stream.state.expired
    assert stream.feed(event("TC:open", subagentRunId="other")).code == "OWNER_MISMATCH"
    assert stream.feed(event("TS:19", subagentRunId="other")).code == "OWNER_MISMATCH"
    assert stream.feed(event("TS:0", subagentRunId="other")).accepted


def test_a_forgotten_subagent_may_be_a_parent() -> None:
    stream = fed(event("RS"), limits=SMALL)
    for number in range(20):
        for code in ("GS", "GF"):
            assert stream.feed(event(f"{code}:{number}")).accepted
    assert stream.feed(event("GS:child", parentSubagentRunId="0")).accepted


@pytest.mark.bench
def test_memory_is_flat_over_200000_events_of_one_run() -> None:
    stream = fed(event("RS"))
    held = []
    tracemalloc.start()
    try:
        for number in range(50_000):
            for code in ("TS", "TC", "TE", "AS"):
                stream.feed(event(f"{code}:{number}"))
            if number in (10_000, 49_999):
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert stream.index == 200_001
    assert held[1] < held[0] * 1.05
    assert len(stream.state.encoded()) < 64 * 1024


def test_the_digest_of_rules_names_what_they_depend_on() -> None:
    digests = {rules_digest(Limits()), rules_digest(SMALL), rules_digest(Limits(), drop_unknown=True)}
    assert len(digests) == 3


def test_the_rules_that_drop_nothing_have_the_digest_of_before() -> None:
    """So members of both releases vote on runs that are judged by them."""
    assert rules_digest(Limits()).hex() == "934a9cbc12b30dad2f91204f5fb9076b5b22fa88d66c3beb661fc7265c2d5f4e"


@table("bad", [{"owners": 4}, {"depth": 1}, {"depth": 200}, {"event_bytes": 1}, {"open_items": 0}], count=5)
def test_limits_in_which_nothing_could_run_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"at least|from"):
        Limits(**bad)
