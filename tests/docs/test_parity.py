"""The table of parity: every case of the contract, and every test that is listed for it is there."""

from __future__ import annotations

from types import SimpleNamespace

from tests.docs.parity import (
    CASES,
    MARK,
    PAGE,
    ROOT,
    Case,
    cases,
    exists,
    numbered,
    on_page_markdown,
    refreshed,
)


def test_every_case_is_listed() -> None:
    assert {name for name in cases() if name[0] in "CX"} == set(CASES)
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


def test_the_site_shows_the_table_on_its_page() -> None:
    text = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    assert text.count(MARK) == 1
    shown = on_page_markdown(text, SimpleNamespace(file=SimpleNamespace(src_uri=PAGE)))
    assert [name for name in cases() if f"\n| {name} | " not in shown] == []
    assert on_page_markdown(MARK, SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))) == MARK
