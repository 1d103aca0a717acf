"""Parts of synchronised state told whole: every range of a deep tree, views of a key, counters and sets."""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.sync import Item, view_of
from dtvn.sync.crdt import (
    CounterPart,
    GCounter,
    ORSet,
    PNCounter,
    SetPart,
    added_to,
    counter_of,
    removed_from,
    set_of,
)
from dtvn.sync.tree import Tree
from dtvn.sync.views import ConflictResolution, View
from tests.golden import Compare
from tests.sync.support import NOW, item, key_of

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("ann", "bob", "cyd")


def deep_keys(chance: random.Random) -> list[bytes]:
    """Keys that share long beginnings, on both halves of a byte."""
    heads = ("", "0", "00f", "abcd0", "abcd1", "fffffffe")
    keys = set()
    for head in heads:
        for _time in range(45):
            rest = "".join(chance.choice("09af") for _digit in range(64 - len(head)))
            keys.add(bytes.fromhex(head + rest))
    return chance.sample(sorted(keys), len(keys))


def told_of(tree: Tree, path: str, lines: list[str]) -> None:
    """A range, and those under it."""
    children = tree.children(path)
    known = [entry[0].hex()[:12] for entry in tree.entries(path)]
    lines.append(f"{path!r}: {tree.hash_of(path).hex()[:8]} {tree.count(path)} {children is None}")
    if children is None:
        lines.append(f"  {' '.join(known)}")
        return
    for each, mark in children:
        lines.append(f"  {each} {mark.hex()[:8]}")
        told_of(tree, each, lines)


def test_a_deep_tree(golden: Compare) -> None:
    chance, tree, lines = random.Random("tree"), Tree(), list[str]()
    keys = deep_keys(chance)
    for number, key in enumerate(keys):
        tree.put(key, number + 1, sha256(key).digest())
    told_of(tree, "", lines)
    for path in ("a", "abc", "abcd", "abcd09", "ff", "1", "00f", keys[0].hex()):
        entries = sha256(b"".join(entry[0] for entry in tree.entries(path))).hexdigest()[:8]
        lines.append(f"at {path}: {tree.count(path)} {tree.hash_of(path).hex()[:8]} {entries}")
    for key in (b"", bytes(32), b"\xff" * 32, *sorted(keys)[::25], bytes.fromhex("abcd08".ljust(64, "0"))):
        behind = [entry[0].hex()[:12] for entry in tree.after(key, 3)]
        held = tree.get(key) if key else None
        lines.append(f"after {key.hex()[:12]}: {behind} {held and held[0]}")
    for key in (*keys[: len(keys) // 2], b"n" * 32):
        tree.remove(key)
        lines.append(f"without {key.hex()[:8]}: {len(tree)} {tree.root.hex()[:8]}")
    told_of(tree, "", lines)
    golden(GOLDEN / "deep-tree.txt", "\n".join(lines) + "\n")


def tries(lines: list[str], what: str, do: Callable[[], Any]) -> None:
    try:
        told = do()
    except ValueError as error:
        told = f"{type(error).__name__}: {error}"
    lines.append(f"{what}: {told}")


def shown(view: View | None) -> str:
    if view is None:
        return "none"
    author = next(name for name in NAMES if key_of(name) == view.author)
    return f"{view.value!r} version {view.version} at {view.timestamp - NOW} by {author}"


def test_views_of_a_key(golden: Compare) -> None:
    chance, lines = random.Random("views"), list[str]()
    values = [
        None,
        True,
        1,
        "é",
        [1, 2],
        [2, 3],
        [3, 1, 4],
        {"a": 1, "b": [1]},
        {"b": [2], "c": {}},
        {"a": {"x": 1}},
    ]

    def longest(first: View, second: View) -> View:
        return max(first, second, key=lambda view: len(str(view.value)))

    for _round in range(120):
        items = []
        for name in chance.sample(NAMES, chance.randrange(4)):
            value = msgspec.json.encode(chance.choice(values), order="sorted")
            version, at = chance.randint(1, 3), NOW + chance.randrange(3)
            items.append(item(name, "k", version, value, at=at, deleted=chance.random() < 0.15))
        said = [f"{shown(view_of([each], ConflictResolution.MERGE))} {each.version}" for each in items]
        lines.append(f"# {said}")
        for resolution in ConflictResolution:
            resolver = longest if resolution is ConflictResolution.CUSTOM else None
            lines.append(f"{resolution.value}: {shown(view_of(items, resolution, resolver))}")
    tries(lines, "no resolver", lambda: view_of([], ConflictResolution.CUSTOM))
    golden(GOLDEN / "views.txt", "\n".join(lines) + "\n")


class PartsStory:
    """Counters and sets of three authors, as their parts change."""

    def __init__(self) -> None:
        self.chance = random.Random("parts")
        self.sets = {name: SetPart(1) for name in NAMES}
        self.counters = {name: CounterPart(0, 0) for name in NAMES}
        self.names = {key_of(name): name for name in NAMES}

    def items(self, kind: str, parts: dict[str, Any]) -> list[Item]:
        return [item(name, "k", 1, canonical.encode(part), kind=kind) for name, part in parts.items()]

    def whole(self) -> ORSet:
        return set_of(self.items("set", self.sets))

    def step(self) -> str:
        chance, name = self.chance, self.chance.choice(NAMES)
        element, number = chance.choice("pqrs"), chance.randrange(5)
        match chance.randrange(4):
            case 0:
                self.sets[name] = added_to(self.sets[name], element)
                return f"{name} adds {element}"
            case 1:
                part = self.sets[name]
                self.sets[name] = removed_from(part, key_of(name), self.whole(), element)
                return f"{name} removes {element}"
            case 2:
                other = chance.choice(NAMES)
                dots = {dot[1] for dot in self.whole().removed if dot[0] == key_of(other)}
                part = self.sets[other]
                kept = tuple(each for each in part.added if each[1] not in dots)
                self.sets[other] = msgspec.structs.replace(part, added=kept)
                return f"{other} drops {sorted(dots)}"
            case _:
                count = self.counters[name]
                self.counters[name] = CounterPart(count.plus + number, count.minus + (number == 1))
                return f"{name} counts {number}"

    def standing(self) -> list[str]:
        lines = []
        for name, part in self.sets.items():
            removed = sorted((self.names[author], number) for author, number in part.removed)
            lines.append(f"  {name}: next {part.next} {part.added} removed {removed}")
        counted = counter_of(self.items("counter", self.counters))
        return [*lines, f"  {sorted(self.whole().value)} {counted.value} {counted.minus.value}"]


def test_counters_and_sets(golden: Compare) -> None:
    story, lines = PartsStory(), list[str]()
    for _step in range(120):
        lines += [story.step(), *story.standing()]
    first, second = GCounter({b"a": 3, b"b": 1}), GCounter({b"b": 5, b"c": 2})
    lines.append(f"{first.merge(second).value} {second.merge(first).value} {first.merge(first).value}")
    both = PNCounter(first, second).merge(PNCounter(second, GCounter({b"c": 9})))
    lines.append(f"{both.value} {both.plus.value} {both.minus.value}")
    gone = item("bob", "k", 3, deleted=True, kind="set")
    lines.append(f"{sorted(set_of([gone, *story.items('set', {'ann': story.sets['ann']})]).value)}")
    lines.append(f"{counter_of([gone, *story.items('counter', story.counters)]).value}")
    for kind in (set_of, counter_of):
        tries(lines, kind.__name__, lambda kind=kind: kind([item("ann", "k", 1, b"junk")]))  # type: ignore[misc]
    golden(GOLDEN / "counters-and-sets.txt", "\n".join(lines) + "\n")
