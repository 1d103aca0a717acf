"""What the rules of shape say of each field of each event: with its value, without it, and with wrong values.

One file for each family of events. Each event comes where it may come, so what refuses it is its own form.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.events.rules import SUGGESTIONS, Stream, Verdict
from tests.events.rules.shape_examples import COMMON, EXAMPLES, PRELUDE
from tests.golden import Compare

HERE = Path(__file__).parent / "golden"
ABSENT = object()
WRONG: list[tuple[str, Any]] = [
    ("absent", ABSENT),
    ("null", None),
    ("true", True),
    ("7", 7),
    ("-3", -3),
    ("2.5", 2.5),
    ('""', ""),
    ('"other"', "other"),
    ("[]", []),
    ("[null]", [None]),
    ("{}", {}),
    ("9007199254740992", 9007199254740992),
]
OPAQUE = {"metadata", "rawEvent", "snapshot", "event", "value", "result"}
"""Fields into which the rules do not look."""
Place = tuple[str | int, ...]


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    """The path of each value in an event, parents first."""
    if above:
        yield above
    parts: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    for key, part in parts:
        yield from places(part, (*above, key))


def changed(event: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(event)
    owner: Any = made
    for key in place[:-1]:
        owner = owner[key]
    if value is ABSENT:
        del owner[place[-1]]
    else:
        owner[place[-1]] = value
    return made


def judged(events: list[dict[str, Any]], event: dict[str, Any], **options: Any) -> tuple[Verdict, Stream]:
    stream = Stream(**options)
    for before in events:
        assert stream.feed(json.dumps(before).encode()).accepted, before
    return stream.feed(json.dumps(event).encode()), stream


def sentence(verdict: Verdict) -> str:
    if not verdict.violations:
        return "accepted"
    said = []
    for each in verdict.violations:
        cure = "" if each.suggestion == SUGGESTIONS[each.code] else f" -> {each.suggestion}"
        said.append(f"{each.severity} {each.index} {each.code} {each.field}: {each.message}{cure}")
    return " && ".join([*(["accepted"] if verdict.accepted else []), *said])


def without_shape(prelude: list[dict[str, Any]], variant: dict[str, Any], field: str) -> str:
    """What is told if the rules of shape are left out, and what the field was filled with."""
    verdict, stream = judged(prelude, variant, shape=False)
    if stream.event is None:
        return "no event"
    read = json.loads(msgspec.json.encode(stream.event))
    return f"{sentence(verdict)} with {field} = {json.dumps(read.get(field, 'left out'))}"


def lines_of(name: str, event: dict[str, Any], told_already: set[str]) -> Iterator[str]:
    prelude = PRELUDE.get(name, PRELUDE[""])
    verdict, stream = judged(prelude, event)
    yield f"== {name}: {sentence(verdict)}, phase {stream.state.phase.name}"
    yield f"   sent {json.dumps(event)}"
    yield f"   read {msgspec.json.encode(stream.event).decode()}"
    for path in places(event):
        if path[0] in told_already or (path[0] in OPAQUE and len(path) > 1):
            continue
        outcomes: dict[str, list[str]] = {}
        for shown, value in WRONG:
            variant = changed(event, path, value)
            said = sentence(judged(prelude, variant)[0])
            if said != "accepted":
                said += f" | {without_shape(prelude, variant, str(path[0]))}"
            outcomes.setdefault(said, []).append(shown)
        yield "   " + ".".join(str(key) for key in path)
        for said, shown_values in outcomes.items():
            yield f"      {', '.join(shown_values)}: {said}"
    told_already |= COMMON.keys()


@pytest.mark.parametrize("family", EXAMPLES)
def test_each_field_of_a_family(family: str, golden: Compare) -> None:
    told_already: set[str] = set()
    lines = [line for name, event in EXAMPLES[family].items() for line in lines_of(name, event, told_already)]
    golden(HERE / f"shapes-{family}.txt", "\n".join(lines) + "\n")


def test_what_each_rule_suggests(golden: Compare) -> None:
    lines = [f"{code}: {cure}\n" for code, cure in SUGGESTIONS.items()]
    golden(HERE / "suggestions.txt", "".join(lines))
