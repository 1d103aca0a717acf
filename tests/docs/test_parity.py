"""docs/understand/parity.md: a row for every case of the contract, and every test that it names is there."""

from __future__ import annotations

from tests.docs.parity import CASES, OPEN, PAGE, exists, kind_of, numbered, refreshed, rows


def listed() -> dict[str, object]:
    return {row.name: row for row in rows(PAGE.read_text(encoding="utf-8"))}


def test_every_case_has_its_row() -> None:
    names = [row.name for row in rows(PAGE.read_text(encoding="utf-8"))]
    assert len(names) == len(set(names))
    assert {name for name in names if name[0] in "CX"} == set(CASES)
    assert set(numbered()) <= set(CASES), "a test's name begins with a case that the contract has not"


def test_every_named_test_exists() -> None:
    gone = [
        (row.name, test)
        for row in rows(PAGE.read_text(encoding="utf-8"))
        for test in row.tests
        if not exists(test)
    ]
    assert not gone, "run `make parity`"


def test_a_row_says_what_proves_it_or_why_nothing_does() -> None:
    for row in rows(PAGE.read_text(encoding="utf-8")):
        assert row.kind == kind_of(row.tests), f"{row.name}: run `make parity`"
        assert row.about
        assert len(row.last) > 10, row.name
        assert row.kind != OPEN or "no test any more" not in row.last, row.name


def test_a_refresh_finds_new_tests_and_keeps_what_people_wrote() -> None:
    page = "# Title\n| C7 | words | **open** | not yet |\n| P1 | more | **open** | because |\ntext"
    again = refreshed(page)
    (case, promise) = rows(again)
    assert case.tests == numbered()["C7"]
    assert case.kind == kind_of(case.tests)
    assert promise.last == "because"
    assert again.startswith("# Title\n")
    assert refreshed(again) == again
