"""In what two meanings differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from msgspec import Struct

from dtvn.events.advice import pointer
from dtvn.events.meaning.aligning import Aligner
from dtvn.events.meaning.followed import NOT_FOLLOWED
from dtvn.events.meaning.items import Item, Meaning
from dtvn.events.meaning.json_values import Keys


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
    differs in it, "" for the whole; `one` and `other`: the values there, ABSENT on the side that lacks it,
    NOT_FOLLOWED where it is too large, and then nothing is compared. `other_number`: the number in the other
    meaning, if it is another one."""

    where: str
    number: int
    name: str
    at: str
    one: Any
    other: Any
    other_number: int | None = None

    @property
    def followed(self) -> bool:
        """Whether both sides could be compared."""
        return NOT_FOLLOWED not in (self.one, self.other)


def differences(one: Meaning, other: Meaning) -> list[Difference]:
    """All differences, in the order of the conversation, then of the state and of the outcomes."""
    comparison = _Comparison()
    found = [
        difference
        for a, b in comparison.aligned(_numbered(one.items), _numbered(other.items), comparison.stages)
        for difference in comparison.of_items(a, b)
    ]
    for path, before, after in comparison.changes(one.state, other.state, []):
        found.append(Difference("state", 0, "", pointer(path), before, after))
    for number, (left, right) in enumerate(zip_longest(one.outcomes, other.outcomes, fillvalue=ABSENT), 1):
        if not comparison.alike(left, right):
            found.append(Difference("outcome", number, "", "", left, right))
    return found


class _Numbered(Struct, frozen=True):
    number: int
    item: Item


_Stage = Callable[[_Numbered], Hashable]


def _numbered(items: Sequence[Item]) -> list[_Numbered]:
    counts: Counter[str] = Counter()
    found = []
    for item in items:
        counts[item.sort] += 1
        found.append(_Numbered(counts[item.sort], item))
    return found


class _Comparison:
    """Of two meanings, in a bounded number of steps."""

    def __init__(self) -> None:
        self._keys = Keys()
        self._aligner = Aligner()
        self.stages: tuple[_Stage, ...] = (
            lambda each: (*_kind(each), self._keys.of(each.item.value)),
            self._call,
            _kind,
        )
        """What pairs items: the same content, then the same call, then the same sort and name."""

    def _call(self, each: _Numbered) -> Hashable:
        """The tool and its arguments; for an item that is no call, a value that equals no other."""
        if each.item.sort != "call":
            return object()
        value = each.item.value
        arguments = self._keys.of(value.get("arguments", ABSENT))
        return each.item.name, arguments, value.get("arguments_text")

    def alike(self, one: Any, other: Any) -> bool:
        return self._keys.of(one) == self._keys.of(other)

    def aligned(
        self, one: Sequence[_Numbered], other: Sequence[_Numbered], stages: Sequence[_Stage]
    ) -> Iterator[tuple[_Numbered | None, _Numbered | None]]:
        """Pairs by the first of these stages, and between them by those that follow."""
        if not stages:
            yield from ((each, None) for each in one)
            yield from ((None, each) for each in other)
            return
        stage, *rest = stages
        a = b = 0
        for first, second, size in self._aligner.blocks([*map(stage, one)], [*map(stage, other)]):
            if a < first or b < second:
                yield from self.aligned(one[a:first], other[b:second], rest)
            a, b = first + size, second + size
            yield from zip(one[first:a], other[second:b], strict=True)

    def of_items(self, a: _Numbered | None, b: _Numbered | None) -> Iterator[Difference]:
        """The differences of a pair, of which one side may be missing."""
        shown = a or b
        if shown is None:
            return
        item = shown.item
        if a is None or b is None:
            sides = (ABSENT, item.value) if a is None else (item.value, ABSENT)
            yield Difference(item.sort, shown.number, item.name, "", *sides)
            return
        number = b.number if b.number != a.number else None
        for path, before, after in self.changes(a.item.value, b.item.value, []):
            yield Difference(item.sort, a.number, item.name, pointer(path), before, after, number)

    def changes(self, one: Any, other: Any, path: list[str]) -> Iterator[Change]:
        """Where two JSON values differ, as deep in them as they are both objects, or both lists."""
        if isinstance(one, dict) and isinstance(other, dict):
            for name in [*one, *(name for name in other if name not in one)]:
                yield from self.changes(one.get(name, ABSENT), other.get(name, ABSENT), [*path, name])
        elif isinstance(one, list) and isinstance(other, list):
            keys = ([*map(self._keys.of, side)] for side in (one, other))
            for a1, a2, b1, b2 in self._aligner.gaps(*keys):
                for place in range(max(a2 - a1, b2 - b1)):
                    left = one[a1 + place] if a1 + place < a2 else ABSENT
                    right = other[b1 + place] if b1 + place < b2 else ABSENT
                    index = a1 + place if left is not ABSENT else b1 + place
                    yield from self.changes(left, right, [*path, str(index)])
        elif NOT_FOLLOWED in (one, other) or not self.alike(one, other):
            yield path, one, other


def _kind(each: _Numbered) -> tuple[str, str]:
    return each.item.sort, each.item.name
