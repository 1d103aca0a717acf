"""What a stream can make large, deep or slow: the state, activities, results of one call, ids used again."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from dtvn.events.meaning import NOT_FOLLOWED, STATE_BYTES, Meaning, conversation, differences
from dtvn.events.rules import shapes as s
from tests.events.meaning.support import run, snapshot
from tests.support.table import table


def delta(*operations: dict[str, Any]) -> bytes:
    return json.dumps({"type": "STATE_DELTA", "delta": operations}).encode()


def test_the_state_is_followed_as_far_as_validate_follows_it() -> None:
    doubled = delta({"op": "copy", "from": "/a", "path": "/a/-"})
    bomb = run(snapshot({"a": [[]] * 1000}), *[doubled] * 40)
    (found,) = differences(bomb, run())
    assert (found.where, found.followed, found.one, found.other) == ("state", False, NOT_FOLLOWED, {})
    (found,) = differences(bomb, bomb)
    assert not found.followed
    again = run(snapshot({"a": ["x" * STATE_BYTES]}), snapshot({"a": 1}))
    assert differences(again, run(snapshot({"a": 1}))) == []


def nested(levels: int, *, moved: bool) -> Meaning:
    """A state that patches nest, level by level deeper than one event may."""
    inner: Any = {}
    for _ in range(99):
        inner = {"a": inner}
    patches = []
    for number in range(levels // 100):
        add = {"op": "add", "path": "/a" * (100 * number + 1), "value": inner}
        if moved:  # below a new value, which takes its place: no path is long
            add["path"] = "/b"
            below = {"op": "move", "from": "/a", "path": "/b" + "/a" * 100}
            patches.append(delta(add, below, {"op": "move", "from": "/b", "path": "/a"}))
        else:
            patches.append(delta(add))
    return run(snapshot({"a": {}}), *patches)


@table("moved", [False, True], count=2)
@table("levels", [200, 500, 5000], count=3)
def test_a_state_that_patches_nest_too_deep_is_not_followed(levels: int, moved: bool) -> None:
    assert nested(levels, moved=moved).state is NOT_FOLLOWED
    assert nested(100, moved=moved).state is not NOT_FOLLOWED


def test_many_activities_are_followed_in_bounded_memory() -> None:
    activity = {"type": "ACTIVITY_SNAPSHOT", "activityType": "plan", "content": {"a": "x" * 900_000}}
    several = [json.dumps(activity | {"messageId": f"a{number}"}).encode() for number in range(12)]
    followed = [item.value["content"] is not NOT_FOLLOWED for item in run(*several).items]
    assert followed == [True] * 9 + [False] * 3
    (replaced,) = run(*[several[0]] * 12).items
    assert replaced.value["content"] is not NOT_FOLLOWED


def lines_of(action: Callable[[], object]) -> int:
    """How many lines of the conversation an action runs."""
    count = 0

    def traced(frame: FrameType, _what: str, _arg: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename != conversation.__file__:
            return None
        count += 1
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("same_id", [False, True])
def test_many_results_of_one_call_and_of_one_id_cost_linear_work(same_id: bool) -> None:
    def lines(number: int) -> int:
        held = conversation.Conversation()
        held.take(s.ToolCallStart(tool_call_id="c", tool_call_name="f"))
        results = [
            s.ToolCallResult(message_id="m" if same_id else f"m{at}", tool_call_id="c", content="x")
            for at in range(number)
        ]
        return lines_of(lambda: deque(map(held.take, results), maxlen=0))

    assert 200 <= lines(200) <= lines(400) <= 2.1 * lines(200)
