"""Replicated data types whose merge is commutative, associative and idempotent (Shapiro et al., SSS 2011).

Each is a join semilattice over parts that have one writer each. The part of an author travels as that
author's signed item (kinds "counter" and "set"), so nobody can write another's part; the value is the merge
of all parts, computed where it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeVar

import msgspec

from dtvn.protocol import canonical
from dtvn.sync.item import Item, ItemError, Key, Time

COUNTER = "counter"
SET = "set"
ELEMENTS_MAX = 4_096
"""Most elements of an author's part of a set, and most removals that it remembers."""

Dot = tuple[Key, Time]
"""One adding: (author, the author's number of it)."""
Element = Annotated[str, msgspec.Meta(max_length=1024)]


class ORSet(msgspec.Struct, frozen=True):
    """An observed-remove set: removing takes away the addings that were seen, so a concurrent one stays."""

    added: frozenset[tuple[str, Dot]] = frozenset()
    removed: frozenset[Dot] = frozenset()

    @property
    def value(self) -> frozenset[str]:
        """The elements with an adding that nobody removed."""
        return frozenset(element for element, dot in self.added if dot not in self.removed)


class _Part(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base class: canonical bytes."""


Part = TypeVar("Part", bound=_Part)


class CounterPart(_Part, frozen=True):
    """What one author added and took away, in all."""

    plus: Time
    minus: Time


class SetPart(_Part, frozen=True):
    """One author's addings that it has not removed, and the removals of others' addings that it saw."""

    next: Time
    """Number of its next adding."""
    added: Annotated[tuple[tuple[Element, Time], ...], msgspec.Meta(max_length=ELEMENTS_MAX)] = ()
    removed: Annotated[tuple[Dot, ...], msgspec.Meta(max_length=ELEMENTS_MAX)] = ()


def counter_of(items: Iterable[Item]) -> int:
    """The value of a counter: what all authors added less what they took away."""
    parts = [counter_part(item) for item in items]
    return sum(part.plus - part.minus for part in parts)


def set_of(items: Iterable[Item]) -> ORSet:
    """A set of its parts: the items of all authors under one key. An adding that was removed is in it for as
    long as its author holds it, so that its removal is remembered."""
    added: set[tuple[str, Dot]] = set()
    removed: set[Dot] = set()
    for item in items:
        part = set_part(item)
        added |= {(element, (item.author, number)) for element, number in part.added}
        removed |= set(part.removed)
    return ORSet(frozenset(added), frozenset(removed))


def counter_part(item: Item) -> CounterPart:
    """What an author's item says of a counter; a tombstone says nothing. Raises ItemError."""
    return CounterPart(0, 0) if item.deleted else _decoded(CounterPart, item)


def set_part(item: Item) -> SetPart:
    """What an author's item says of a set; a tombstone says nothing. Raises ItemError."""
    return SetPart(0) if item.deleted else _decoded(SetPart, item)


def added_to(part: SetPart, element: str) -> SetPart:
    """An author's part with one more adding. Raises ItemError if it has as many as it may."""
    if len(part.added) >= ELEMENTS_MAX:
        raise ItemError(f"set: more than {ELEMENTS_MAX} elements of one author")
    return SetPart(part.next + 1, (*part.added, (element, part.next)), part.removed)


def without_removed(part: SetPart, author: bytes, whole: ORSet) -> SetPart:
    """An author's part without its addings that others removed. Once it is without them, the others no
    longer have to remember their removals."""
    kept = tuple(each for each in part.added if (author, each[1]) not in whole.removed)
    return SetPart(part.next, kept, part.removed)


def removed_from(part: SetPart, author: bytes, whole: ORSet, element: str) -> SetPart:
    """An author's part once it removed an element from the whole set: own addings go, those of others are
    remembered as removed until their authors have dropped them. Raises ItemError if these are too many."""
    own = without_removed(part, author, whole)
    kept = tuple(each for each in own.added if each[0] != element)
    standing = {dot for _element, dot in whole.added}
    shown = {dot for its, dot in whole.added if its == element and dot not in whole.removed}
    seen = {dot for dot in shown if dot[0] != author}
    removed = {dot for dot in part.removed if dot in standing} | seen
    if len(removed) > ELEMENTS_MAX:
        raise ItemError(f"set: more than {ELEMENTS_MAX} removals of one author")
    return SetPart(part.next, kept, tuple(sorted(removed)))


def _decoded(kind: type[Part], item: Item) -> Part:
    try:
        return canonical.decode(kind, item.value)
    except canonical.CanonicalError as error:
        raise ItemError(f"value: {error}") from error
