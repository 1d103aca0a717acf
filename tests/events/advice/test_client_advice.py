"""Advice of the profile `client`: accepted streams of which clients lose something."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from dtvn.events.advice import Profile
from dtvn.events.advice.arguments import ARGUMENT_CHARACTERS
from dtvn.events.advice.followed_state import STATE_BYTES
from dtvn.events.rules import RunInput
from dtvn.events.validation_config import ValidationConfig
from tests.events.advice.support import codes, told
from tests.events.rules.samples import event
from tests.support.table import table

ONLY_CLIENT = ValidationConfig(profile=Profile.CLIENT)
RS, RF = event("RS"), event("RF")


def snapshot(value: Any) -> dict[str, Any]:
    return {"type": "STATE_SNAPSHOT", "snapshot": value}


def delta(*operations: tuple[Any, ...]) -> dict[str, Any]:
    made = [dict(zip(("op", "path", "value"), each, strict=False)) for each in operations]
    return {"type": "STATE_DELTA", "delta": made}


def result(call: str, message: str = "r") -> dict[str, Any]:
    return {"type": "TOOL_CALL_RESULT", "messageId": message, "toolCallId": call, "content": "ok"}


def call(name: str, *deltas: str, tool: str = "n") -> list[bytes]:
    """A call with arguments in these pieces, and its result."""
    pieces = [event(f"KA:{name}", delta=each) for each in deltas]
    answer = json.dumps(result(name, f"result-{name}")).encode()
    return [event(f"KS:{name}", toolCallName=tool), *pieces, event(f"KE:{name}"), answer]


def messages(*given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "MESSAGES_SNAPSHOT", "messages": [*given]}


def activity(name: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "ACTIVITY_SNAPSHOT", "messageId": name, "activityType": "a", "content": content, **more}


def activity_delta(name: str, *operations: tuple[Any, ...]) -> dict[str, Any]:
    patch = delta(*operations)["delta"]
    return {"type": "ACTIVITY_DELTA", "messageId": name, "activityType": "a", "patch": patch}


def reasoning(name: str) -> list[dict[str, Any]]:
    kinds = ("START", "CONTENT", "END")
    more: dict[str, Any] = {"START": {"role": "reasoning"}, "CONTENT": {"delta": "x"}}
    return [{"type": f"REASONING_MESSAGE_{kind}", "messageId": name} | more.get(kind, {}) for kind in kinds]


TEXT = [event("TS:m"), event("TC:m"), event("TE:m")]
CASES: dict[str, tuple[list[Any], list[tuple[str, int]]]] = {
    "state that is patched": ([snapshot({"a": []}), delta(("add", "/a/-", 1), ("replace", "/a/0", 2))], []),
    "missing path": ([snapshot({}), delta(("replace", "/a", 1))], [("STATE_DELTA_NOT_APPLIED", 2)]),
    "the same cause again": (
        [snapshot({}), delta(("replace", "/a", 1)), delta(("replace", "/a/b", 2)), delta(("add", "/c", 1))],
        [("STATE_DELTA_NOT_APPLIED", 2)],
    ),
    "what a failed delta would have made": (
        [snapshot({}), delta(("add", "/a", {}), ("remove", "/z")), delta(("add", "/a/b", 1))],
        [("STATE_DELTA_NOT_APPLIED", 2)],
    ),
    "another cause": (
        [snapshot({}), delta(("replace", "/a", 1)), delta(("replace", "/b", 2))],
        [("STATE_DELTA_NOT_APPLIED", 2), ("STATE_DELTA_NOT_APPLIED", 3)],
    ),
    "delta before the snapshot": (
        [
            delta(("replace", "/a", 1)),
            delta(("replace", "/b", 1)),
            snapshot({"b": 0}),
            delta(("replace", "/b", 1)),
        ],
        [("STATE_DELTA_BEFORE_SNAPSHOT", 1)],
    ),
    "delta that begins a state": ([delta(("add", "/a", 1)), delta(("replace", "/a", 2))], []),
    "large state": (
        [snapshot("x" * STATE_BYTES), delta(("replace", "/a", 1)), snapshot("x" * STATE_BYTES)],
        [("STATE_NOT_FOLLOWED", 1)],
    ),
    "arguments in pieces": (call("c", '{"a', '": [1', "]}"), []),
    "no arguments": (call("c"), []),
    "two values": (call("c", "{}", "{}"), [("ARGUMENTS_NOT_JSON", 3 + 1)]),
    "Python's form": (call("c", "{'a': 1}"), [("ARGUMENTS_NOT_JSON", 3)]),
    "cut off": (call("c", '{"a": 1'), [("ARGUMENTS_NOT_JSON", 5)]),
    "cut off by an error": ([*call("c", '{"a": 1'), event("RE")], []),
    "infinity": (call("c", '{"a": NaN}'), [("ARGUMENTS_NOT_JSON", 3)]),
    "lone surrogate, as clients take it": (call("c", '{"a": "\\ud800"}'), []),
    "arguments of chunks": (
        [event("KK:c", toolCallName="n", delta="{}"), event("KK:c", delta="{}"), result("c")],
        [("ARGUMENTS_NOT_JSON", 3)],
    ),
    "many arguments": (
        call("c", "x" * (ARGUMENT_CHARACTERS // 2), "x" * (ARGUMENT_CHARACTERS // 2 + 1)),
        [("ARGUMENTS_NOT_CHECKED", 3)],
    ),
    "nobody answered": ([event("KS:c"), event("KE:c")], [("CALL_NOT_ANSWERED", 3)]),
    "answered in the messages": (
        [
            event("KS:c"),
            event("KE:c"),
            messages({"id": "r", "role": "tool", "content": "", "toolCallId": "c"}),
        ],
        [],
    ),
    "id of an activity": ([activity("m", {}), *TEXT], [("MESSAGE_ID_REUSED", 2)]),
    "id of reasoning": ([*reasoning("m"), *TEXT], [("MESSAGE_ID_REUSED", 4)]),
    "id of a text for reasoning": ([*TEXT, *reasoning("m")], [("MESSAGE_ID_REUSED", 4)]),
    "id of an ended text": ([*TEXT, *TEXT], [("MESSAGE_ID_REUSED", 4)]),
    "id of a text for an activity": ([*TEXT, activity("m", {})], [("MESSAGE_ID_REUSED", 4)]),
    "id of a text for an activity, kept": (
        [*TEXT, activity("m", {}, replace=False)],
        [("MESSAGE_ID_REUSED", 4)],
    ),
    "id of a text for a result": (
        [*TEXT, *call("c", "{}")[:-1], result("c", "m")],
        [("MESSAGE_ID_REUSED", 7)],
    ),
    "text of the message that a call made": (
        [event("KS:c", parentMessageId="m"), event("KE:c"), result("c"), *TEXT],
        [],
    ),
    "chunks again": (
        [event("TK:m", delta="a"), event("KK:c", toolCallName="n"), event("TK:m", delta="b"), result("c")],
        [("MESSAGE_ID_REUSED", 3)],
    ),
    "activity that goes on": (
        [activity("a", {"n": 1}), activity_delta("a", ("replace", "/n", 2)), activity("a", {})],
        [],
    ),
    "patch of an activity": (
        [activity("a", {"n": 1}), activity_delta("a", ("replace", "/m", 2))],
        [("ACTIVITY_DELTA_NOT_APPLIED", 2)],
    ),
    "unknown activity": ([activity_delta("a", ("add", "/m", 2))], [("ACTIVITY_DELTA_UNKNOWN", 1)]),
    "activity of a snapshot": (
        [
            messages({"id": "a", "role": "activity", "activityType": "a", "content": {"n": 1}}),
            activity_delta("a", ("replace", "/n", 2)),
        ],
        [],
    ),
    "call again": (
        [*call("c", "{}"), *call("c", "{}")[:-1]],
        [("TOOL_CALL_ID_REUSED", 6), ("CALL_NOT_ANSWERED", 8)],
    ),
    "start again, as after an interrupt": (
        [*call("c", "{}"), event("KS:c"), event("KE:c"), result("c", "again")],
        [],
    ),
    "parent is a result": (
        [*call("c", "{}"), event("KS:d", parentMessageId="result-c"), event("KE:d"), result("d")],
        [("PARENT_NOT_ASSISTANT", 5)],
    ),
    "call again after a snapshot without it": (
        [*call("c", "{}"), messages({"id": "m", "role": "assistant"}), *call("c", "{}")[:-1]],
        [("CALL_NOT_ANSWERED", 9)],
    ),
    "snapshot without what is open": (
        [event("TS:m"), messages(), event("TC:m"), event("TE:m")],
        [("SNAPSHOT_DROPS_OPEN", 2)],
    ),
    "snapshot with what is open": (
        [event("TS:m"), messages({"id": "m", "role": "assistant"}), event("TC:m"), event("TE:m")],
        [],
    ),
    "unknown field": ([event("CU", colour=1)], [("UNKNOWN_FIELD", 1)]),
}


@table(("given", "expected"), CASES.values(), ids=CASES, count=40)
def test_what_clients_lose_is_told(given: list[Any], expected: list[tuple[str, int]]) -> None:
    last = (
        []
        if json.loads(given[-1] if isinstance(given[-1], bytes) else "{}").get("type") == "RUN_ERROR"
        else [RF]
    )
    assert codes(RS, *given, *last, config=ONLY_CLIENT) == expected


def asked(**fields: Any) -> dict[str, Any]:
    return {"threadId": "t", "runId": "r1", "messages": [], "state": {"a": 1}} | fields


def given_input(**fields: Any) -> RunInput:
    return msgspec.json.decode(json.dumps(asked(**fields)), type=RunInput)


def test_the_state_of_the_input_is_patched() -> None:
    events: list[Any] = [RS, delta(("replace", "/a", 2)), delta(("replace", "/b", 2)), RF]
    assert codes(*events, config=ONLY_CLIENT) == [("STATE_DELTA_BEFORE_SNAPSHOT", 1)]
    assert codes(*events, config=ONLY_CLIENT, given=given_input()) == [("STATE_DELTA_NOT_APPLIED", 2)]
    started = event("RS", input=asked())
    assert codes(started, *events[1:], config=ONLY_CLIENT) == [("STATE_DELTA_NOT_APPLIED", 2)]


def test_the_state_goes_on_into_the_next_run() -> None:
    events: list[Any] = [
        RS,
        snapshot({"a": 1}),
        RF,
        event("RS:r2"),
        delta(("replace", "/a", 2)),
        event("RF:r2"),
    ]
    assert codes(*events, config=ONLY_CLIENT) == []


FITS = ValidationConfig(profile=Profile.CLIENT, advice_off=("CLIENT_TOOL_ANSWERED",))
WEATHER = {
    "name": "weather",
    "description": "",
    "parameters": {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/city"}, "pattern": {"type": "string"}},
        "required": ["city"],
        "$defs": {"city": {"type": "string", "minLength": 1}},
    },
}


@table(
    ("arguments", "said"),
    [
        ('{"city": "Rome"}', None),
        ('{"city": 5}', "$.city: 5 is not of type 'string'"),
        ("{}", "$: 'city' is a required property"),
        ("[1]", "$: [1] is not of type 'object'"),
    ],
    count=4,
)
def test_arguments_fit_the_parameters_of_their_tool(arguments: str, said: str | None) -> None:
    lines = b"\n".join([RS, *call("c", arguments, tool="weather"), RF])
    found = told(lines, FITS, given_input(tools=[WEATHER]))
    assert [(each.code, each.index) for each in found] == (
        [] if said is None else [("ARGUMENTS_DO_NOT_FIT", 3)]
    )
    assert said is None or f'do not fit tool "weather": {said}.' in found[0].message


def test_arguments_are_compared_with_the_tools_that_the_stream_says() -> None:
    started = event("RS", input=asked(tools=[WEATHER]))
    assert codes(started, *call("c", "{}", tool="weather"), RF, config=FITS) == [("ARGUMENTS_DO_NOT_FIT", 3)]


def test_a_later_run_has_parameters_of_its_own() -> None:
    numbers = WEATHER | {"parameters": {"properties": {"city": {"type": "number"}}}}
    runs = [
        [event(f"RS:{run}", input=asked(tools=[tool])), *call(run, '{"city": "Rome"}', tool="weather"), RF]
        for run, tool in (("r", WEATHER), ("s", numbers))
    ]
    found = codes(*runs[0], *runs[1], config=FITS)
    assert found == [("ARGUMENTS_DO_NOT_FIT", len(runs[0]) + 3)]


@table(
    "parameters",
    [
        {"type": 5},
        {"$ref": "https://example.invalid/schema"},
        {
            "$defs": {
                "a": {"allOf": [{"$ref": "#/$defs/b"}] * 9},
                "b": {"allOf": [{"$ref": "#/$defs/a"}] * 9},
            },
            "$ref": "#/$defs/a",
        },
        {"properties": {"city": {"pattern": "(a+)+$"}}},
    ],
    ids=["no schema", "elsewhere", "without end", "pattern of the stream"],
    count=4,
)
def test_parameters_that_cannot_be_used_are_harmless(parameters: dict[str, Any]) -> None:
    tool = WEATHER | {"parameters": parameters}
    started = event("RS", input=asked(tools=[tool]))
    found = codes(started, *call("c", '{"city": "%s!"}' % ("a" * 40), tool="weather"), RF, config=FITS)
    assert found in ([], [("ARGUMENTS_NOT_CHECKED", 3)])


def test_a_pattern_of_ones_own_input_is_compared() -> None:
    tool = WEATHER | {"parameters": {"properties": {"city": {"pattern": "^R"}}}}
    events: list[Any] = [RS, *call("c", '{"city": "Oslo"}', tool="weather"), RF]
    assert codes(*events, config=FITS, given=given_input(tools=[tool])) == [("ARGUMENTS_DO_NOT_FIT", 3)]


def test_calls_of_the_clients_own_tools_and_pending_ones_are_answered_later() -> None:
    events: list[Any] = [RS, event("KS:c", toolCallName="weather"), event("KE:c")]
    assert codes(*events, RF, config=ONLY_CLIENT) == [("CALL_NOT_ANSWERED", 3)]
    assert codes(*events, RF, config=ONLY_CLIENT, given=given_input(tools=[WEATHER])) == []
    outcome = {"type": "success", "pendingToolCallIds": ["c"]}
    assert codes(*events, event("RF", outcome=outcome), config=ONLY_CLIENT) == []
    interrupted = {"type": "interrupt", "interrupts": [{"id": "i", "reason": "x"}]}
    assert codes(*events, event("RF", outcome=interrupted), config=ONLY_CLIENT) == []
