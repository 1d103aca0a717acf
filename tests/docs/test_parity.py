"""The page of parity: a row for every case of the contract, and every test that is listed for it is there."""

from __future__ import annotations

from tests.docs.parity import (
    CASES,
    OPEN,
    PAGE,
    exists,
    kind_of,
    listed_tests,
    numbered,
    refreshed,
    refreshed_tests,
    rows,
)


def test_every_case_has_its_row() -> None:
    names = [row.name for row in rows(PAGE.read_text(encoding="utf-8"))]
    assert len(names) == len(set(names))
    assert {name for name in names if name[0] in "CX"} == set(CASES)
    assert set(numbered()) <= set(CASES), "a test's name begins with a case that the contract has not"
    assert set(listed_tests()) <= set(names)


def test_every_listed_test_exists() -> None:
    gone = [(name, test) for name, tests in listed_tests().items() for test in tests if not exists(test)]
    assert not gone, "run `make parity`"


def test_a_row_says_what_proves_it_or_why_nothing_does() -> None:
    tests = listed_tests()
    for row in rows(PAGE.read_text(encoding="utf-8")):
        assert row.kind == kind_of(tests.get(row.name, [])), f"{row.name}: run `make parity`"
        assert row.about


def test_a_refresh_finds_new_tests_and_drops_those_that_are_gone() -> None:
    page = "# Title\n| C7 | words (*in process*) |\n| P1 | more. **open**: because |\ntext"
    tests = refreshed_tests({"P1": ["tests/test_gone.py::test_it"]})
    assert tests == numbered()
    (case, promise) = rows(refreshed(page, tests))
    assert (case.about, case.kind) == ("words", kind_of(tests["C7"]))
    assert (promise.about, promise.kind) == ("more. **open**: because", OPEN)
    assert refreshed(page, tests).startswith("# Title\n")
