"""The table of parity: every case of the contract, and every test that is listed for it is there."""

from __future__ import annotations

from tests.docs.parity import CASES, Case, cases, exists, numbered, refreshed


def test_every_case_is_listed() -> None:
    assert {name for name in cases() if name[0] in "ACX"} == set(CASES)
    assert set(numbered()) <= set(CASES), "a test's name begins with a case that the contract has not"


def test_every_listed_test_exists_and_every_numbered_one_is_listed() -> None:
    assert refreshed(cases()) == cases(), "run `make parity`"
    assert all(exists(test) for case in cases().values() for test in case.get("tests", []))


def test_a_case_has_tests_or_a_reason_why_it_has_none() -> None:
    assert [name for name, case in cases().items() if ("open" in case) == bool(case.get("tests"))] == []


def test_a_refresh_finds_new_tests_and_drops_those_that_are_gone() -> None:
    known = {"C7": Case(about="words"), "P1": Case(about="more", tests=["tests/test_gone.py::test_it"])}
    assert refreshed(known) == {
        "C7": Case(about="words", tests=numbered()["C7"]),
        "P1": Case(about="more"),
    }
