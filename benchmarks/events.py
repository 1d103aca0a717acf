"""Rules of event streams on one core: events per second from JSON bytes, beside decoding alone, in the same
run.

Rounds of all measurements follow each other, so that a busy machine slows all alike; ratios are medians of
rounds. The time of one Ed25519 check says how fast the machine was.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.cost import check_seconds
from dtvn.events.rules import Stream
from dtvn.events.validation_config import ValidationConfig, rules_of

ROUNDS = 15
REPEATS = 10
MILLISECONDS = 1_732_380_000_000
ANSWER = "The weather in Lisbon is sunny today with a light wind from the north and 24 degrees"


def conversation() -> list[bytes]:
    """A run as agents emit it: a step, reasoning of 48 words, a tool call with its result, a text of 136
    words, a state."""
    message, call, thought = "msg_68af1c0e9d2b4f7a", "call_Qx7fP2mK9vRt4LbN", "rs_0d5a7c31e8f94b26"
    words = [f" {word}" for word in ANSWER.split() * 8]
    texts = {"type": "TEXT_MESSAGE_CONTENT", "messageId": message}
    thoughts = {"type": "REASONING_MESSAGE_CONTENT", "messageId": thought}
    arguments = {"type": "TOOL_CALL_ARGS", "toolCallId": call}
    made: list[dict[str, Any]] = [
        {"type": "RUN_STARTED", "threadId": "thread-1", "runId": "run-1"},
        {"type": "STEP_STARTED", "stepName": "plan"},
        {"type": "REASONING_START", "messageId": thought},
        {"type": "REASONING_MESSAGE_START", "messageId": thought, "role": "reasoning"},
        *(thoughts | {"delta": word} for word in words[:48]),
        {"type": "REASONING_MESSAGE_END", "messageId": thought},
        {"type": "REASONING_END", "messageId": thought},
        {"type": "TOOL_CALL_START", "toolCallId": call, "toolCallName": "weather"},
        *(arguments | {"delta": part} for part in ('{"ci', 'ty": "', 'Lisbon"}')),
        {"type": "TOOL_CALL_END", "toolCallId": call},
        {"type": "TOOL_CALL_RESULT", "messageId": "msg_r", "toolCallId": call, "content": '{"degrees": 24}'},
        {"type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant"},
        *(texts | {"delta": word} for word in words),
        {"type": "TEXT_MESSAGE_END", "messageId": message},
        {"type": "STATE_SNAPSHOT", "snapshot": {"weather": {"city": ""}}},
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/weather/city", "value": "Lisbon"}]},
        {"type": "STEP_FINISHED", "stepName": "plan"},
        {"type": "RUN_FINISHED", "threadId": "thread-1", "runId": "run-1"},
    ]
    return [
        json.dumps(each | {"timestamp": MILLISECONDS + number}, separators=(",", ":")).encode()
        for number, each in enumerate(made)
    ]


def measure() -> dict[str, float]:
    """events_per_second of decoding alone, of the rules, and of rules and advice; the ratios of these to
    decoding alone; check_us, the time of one Ed25519 check."""
    events = conversation()
    stream = Stream()
    advised, adviser = rules_of(ValidationConfig())

    def with_advice(data: bytes) -> None:
        verdict = advised.feed(data)
        if not verdict.accepted:
            raise AssertionError("the conversation is valid")
        adviser.take(data, verdict, verdict, MILLISECONDS)

    kinds: dict[str, Callable[[bytes], object]] = {
        "decode": msgspec.json.decode,
        "rules": stream.feed,
        "rules_and_advice": with_advice,
    }
    rounds = [{name: _seconds(judge, events) for name, judge in kinds.items()} for _ in range(ROUNDS)]
    # A refused event would be cheaper, or dearer, than what is promised.
    if any(not stream.feed(data).accepted for data in events):
        raise AssertionError("the conversation is valid")
    best = {name: len(events) * REPEATS / min(each[name] for each in rounds) for name in kinds}
    return {
        **{f"{name}_per_second": round(rate) for name, rate in best.items()},
        "rules_to_decode": round(statistics.median(each["decode"] / each["rules"] for each in rounds), 3),
        "advice_to_decode": round(
            statistics.median(each["decode"] / each["rules_and_advice"] for each in rounds), 3
        ),
        "check_us": round(min(check_seconds() for _ in range(ROUNDS)) * 1e6, 1),
    }


def _seconds(judge: Callable[[bytes], object], events: list[bytes]) -> float:
    begin = time.process_time()
    for _ in range(REPEATS):
        for data in events:
            judge(data)
    return time.process_time() - begin


def main() -> dict[str, Any]:
    """Measure and print."""
    found = measure()
    for name, value in found.items():
        print(f"{name:>28} {value:,}")
    return found
