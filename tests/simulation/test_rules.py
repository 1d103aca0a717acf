"""The page of rules: each rule and each pitfall has a planted bug or a test that bears its name."""

from __future__ import annotations

from simulator.mutants import NOT_PLANTED
from tests.docs.tables import DOCS, RULES_PAGE, named_tests, planted, rule_rows

NUMBERS = (*range(1, 43), *range(44, 49))
RULES = [f"R{number}" for number in NUMBERS] + [f"P{number}" for number in range(1, 23)]
WITHOUT = {"R38"}
"""Leases stand apart."""


def test_each_rule_has_a_row_with_a_mutant_or_a_test() -> None:
    bugs, tests = planted(), named_tests()
    assert [rule for rule, _about in rule_rows((DOCS / RULES_PAGE).read_text(encoding="utf-8"))] == RULES
    assert set(bugs) <= set(RULES)
    for rule in RULES:
        assert bugs[rule] or tests[rule] or rule in WITHOUT, f"{rule}: nothing holds it"
        assert bugs[rule] or rule in NOT_PLANTED
