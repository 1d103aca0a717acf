"""The page of rules: each rule and each pitfall has a planted bug or a test that bears its name."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from simulator.mutants import MUTANTS, NOT_PLANTED

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "understand" / "protocol" / "rules.md"
NAMED = re.compile(r"def (test_(r|p|row)_?(\d+)_\w+)")
RULES = [f"R{number}" for number in range(1, 40)] + [f"P{number}" for number in range(1, 23)]
WITHOUT = {"R38"}
"""Leases stand apart."""


def named_tests() -> dict[str, set[str]]:
    """Rule -> file name::test name of the tests that bear its name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, kind, number in NAMED.findall(path.read_text(encoding="utf-8")):
            found[("R" if kind == "r" else "P") + number].add(f"{path.relative_to(ROOT / 'tests')}::{name}")
    return found


def rows() -> dict[str, tuple[set[str], set[str]]]:
    """Rule -> (planted bugs, tests) as the page tells them."""
    told = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"[RP]\d+", cells[0]):
            bugs, tests = (set(re.findall(r"`([^`]+)`", cell)) for cell in cells[2:4])
            told[cells[0]] = bugs, tests
    return told


def test_each_rule_has_a_row_and_each_row_is_true() -> None:
    told, named = rows(), named_tests()
    assert list(told) == RULES
    planted: dict[str, set[str]] = defaultdict(set)
    for mutant in MUTANTS.values():
        for rule in mutant.rule.split():
            planted[rule].add(mutant.name)
    for rule, (bugs, tests) in told.items():
        assert bugs == planted[rule], f"{rule}: the page names {bugs}, planted are {planted[rule]}"
        assert tests <= named[rule], f"{rule}: there is no {tests - named[rule]}"
        assert bugs or tests or rule in WITHOUT, f"{rule}: nothing holds it"
        assert bugs or rule in NOT_PLANTED
