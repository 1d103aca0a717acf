"""Which generated mutants to plant: a number for each room, or those of changed lines, drawn by a seed."""

from __future__ import annotations

import random
import subprocess
from collections import defaultdict
from collections.abc import Iterator

from tests.mutation.hunt import Prey
from tests.mutation.places import changed_lines
from tests.mutation.planting import Mutant, slips
from tests.mutation.record import PRODUCT, ROOT, Record

OF_A_FILE_MAX = 4
"""Mutants of one file, so that a room's are spread."""


def changed_since(base: str) -> dict[str, set[int]]:
    """Path -> numbers of the lines, as they are now, that differ from a commit, of files of the product."""
    command = ["git", "diff", "-U0", "-R", base, "--", *(f"{root}/*.py" for root in PRODUCT)]
    patch = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = changed_lines(patch.replace("--- b/", "--- a/"))
    return {path: numbers for path, numbers in lines.items() if (ROOT / path).exists()}


def of_lines(lines: dict[str, set[int]], count: int, seed: int) -> list[Mutant]:
    """At most `count` mutants of these lines."""
    found = [each for path in sorted(lines) for each in slips(path) if each.line in lines[path]]
    return random.Random(seed).sample(found, min(count, len(found)))


def of_rooms(record: Record, count: int, seed: int, part: str = "") -> Iterator[Mutant]:
    """`count` mutants of lines that a test runs, of each room whose path begins with `part`."""
    rooms = defaultdict(list)
    for path in sorted(record.files()):
        if path.startswith(part):
            rooms["/".join(path.split("/")[:2])].append(path)
    for room, paths in sorted(rooms.items()):
        dice = random.Random(f"{seed} {room}")
        drawn: list[Mutant] = []
        for path in paths:
            ran = record.tests_of(path)
            found = [each for each in slips(path) if ran.get(each.line)]
            drawn += dice.sample(found, min(OF_A_FILE_MAX, len(found)))
        yield from dice.sample(drawn, min(count, len(drawn)))


def with_tests(mutants: list[Mutant], record: Record) -> Iterator[Prey]:
    """Each mutant with the tests that run its line, the quickest first."""
    known: dict[str, dict[int, set[str]]] = {}
    for mutant in mutants:
        if mutant.path not in known:
            known[mutant.path] = record.tests_of(mutant.path)
        tests = known[mutant.path].get(mutant.line, set())
        yield Prey(mutant, tuple(sorted(tests, key=lambda test: record.seconds.get(test, 0.0))))
