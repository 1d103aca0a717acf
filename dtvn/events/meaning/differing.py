"""In what two meanings differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from msgspec import Struct

from dtvn.events.advice import pointer, same
from dtvn.events.meaning.aligning import blocks, gaps
from dtvn.events.meaning.items import Item, Meaning


class Absent:
    """The value of what only the other side has."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()
Change = tuple[list[str], Any, Any]
"""Path, and the values there on both sides."""


class Difference(Struct, frozen=True):
    """`where`: `message`, `call`, `activity`, `state` or `outcome`; `number`: which one of its sort, from 1,
    in the first meaning if it has it, 0 for the state; `name`: role, tool or type. `at`: JSON Pointer to what
    differs in it, "" for the whole; `one` and `other`: the values there, ABSENT on the side that lacks it."""

    where: str
    number: int
    name: str
    at: str
    one: Any
    other: Any


def differences(one: Meaning, other: Meaning) -> list[Difference]:
    """All differences, in the order of the conversation, then of the state and of the outcomes."""
    found: list[Difference] = []
    for a, b in _aligned(_numbered(one.items), _numbered(other.items)):
        found += _of_items(a, b)
    for path, before, after in _changes(one.state, other.state, []):
        found.append(Difference("state", 0, "", pointer(path), before, after))
    for number, (left, right) in enumerate(zip_longest(one.outcomes, other.outcomes, fillvalue=ABSENT), 1):
        if left is ABSENT or right is ABSENT or not same(left, right):
            found.append(Difference("outcome", number, "", "", left, right))
    return found


class _Numbered(Struct, frozen=True):
    number: int
    item: Item


def _numbered(items: Sequence[Item]) -> list[_Numbered]:
    counts: Counter[str] = Counter()
    found = []
    for item in items:
        counts[item.sort] += 1
        found.append(_Numbered(counts[item.sort], item))
    return found


def _of_items(a: _Numbered | None, b: _Numbered | None) -> Iterator[Difference]:
    """The differences of a pair, of which one side may be missing."""
    shown = a or b
    if shown is None:
        return
    item = shown.item
    if a is None or b is None:
        sides = (ABSENT, item.value) if a is None else (item.value, ABSENT)
        yield Difference(item.sort, shown.number, item.name, "", *sides)
        return
    for path, before, after in _changes(a.item.value, b.item.value, []):
        yield Difference(item.sort, shown.number, item.name, pointer(path), before, after)


def _aligned(
    one: Sequence[_Numbered], other: Sequence[_Numbered]
) -> Iterator[tuple[_Numbered | None, _Numbered | None]]:
    """Pairs of what differs. Between items that are alike, those of the same sort and name are paired."""
    keys = (
        [_canonical([each.item.sort, each.item.name, each.item.value]) for each in side]
        for side in (one, other)
    )
    for start, end, first, last in gaps(*keys):
        left, right = one[start:end], other[first:last]
        kinds = ([(each.item.sort, each.item.name) for each in side] for side in (left, right))
        a = b = 0
        for place, behind, size in blocks(*kinds):
            yield from ((each, None) for each in left[a:place])
            yield from ((None, each) for each in right[b:behind])
            a, b = place + size, behind + size
            yield from zip(left[place:a], right[behind:b], strict=True)


def _changes(one: Any, other: Any, path: list[str]) -> Iterator[Change]:
    """Where two JSON values differ, as deep in them as they are both objects, or both lists."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            yield from _changes(one.get(name, ABSENT), other.get(name, ABSENT), [*path, name])
    elif isinstance(one, list) and isinstance(other, list):
        for a1, a2, b1, b2 in gaps([_canonical(each) for each in one], [_canonical(each) for each in other]):
            for place in range(max(a2 - a1, b2 - b1)):
                left = one[a1 + place] if a1 + place < a2 else ABSENT
                right = other[b1 + place] if b1 + place < b2 else ABSENT
                index = a1 + place if left is not ABSENT else b1 + place
                yield from _changes(left, right, [*path, str(index)])
    elif one is ABSENT or other is ABSENT or not same(one, other):
        yield path, one, other


def _canonical(value: Any) -> str:
    """One text for each JSON value: 1 and 1.0 are one number, and the order of members is free."""
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
