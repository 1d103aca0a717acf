"""Titles and further headers between the rows of a file say of whom the rows below them are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.importing.planning import asked, codes, plan
from tests.importing.test_columns import stored_of

LISTS = "barcode,name,email\nC-1,Ada,a@x.se\nC-22,Bo,b@x.se\n{}C-333,Cem,c@x.se\nC-4,Dan,d@x.se\n"


@pytest.mark.parametrize(
    ("between", "title", "rows"),
    [
        ("Waiting list:,,\n", "Waiting list:", [4]),
        (",cancelled,\n", "cancelled", [4]),
        ("barcode,name,email\n", "table 2", [4]),
        ("Unpaid,,\nbarcode,name,email\n", "Unpaid", [4, 5]),
        ("Unpaid,,\nof the box office,,\n", "Unpaid – of the box office", [4, 5]),
    ],
)
def test_who_stands_below_a_title_comes_in_only_if_somebody_says_so(
    tmp_path: Path, between: str, title: str, rows: list[int]
) -> None:
    content = LISTS.format(between)
    (question,) = plan(tmp_path, content).questions
    assert (question.id, question.values) == ("column:title above", [("", 2), (title, 2)])
    found = plan(tmp_path, content, admits=["title above="])
    assert (codes(found), found.wrong) == (["C-1", "C-22"], [])
    assert [one.row for one in found.left_out] == [*rows, rows[-1] + 1, rows[-1] + 2]
    assert codes(plan(tmp_path, content, harmless=["title above"])) == ["C-1", "C-22", "C-333", "C-4"]


def test_a_title_of_two_columns_is_what_has_no_digit_among_codes(tmp_path: Path) -> None:
    content = "barcode,name\nC-1,Ada\n{}C-22,Bo\nC-333,Cem\n"
    assert asked(plan(tmp_path, content.format("Waiting list,\n"))) == ["column:title above"]
    assert len(plan(tmp_path, content.format("C-0,\n")).tickets) == 4


def test_a_row_of_a_code_alone_is_a_ticket(tmp_path: Path) -> None:
    for code in ("C-5", "D-4444"):
        assert code in codes(plan(tmp_path, LISTS.format(f"{code},,\n")))
    letters = "barcode,name,email\nkqzv,Ada,a@x.se\nbnmw,Bo,b@x.se\nrtyp,,\n"
    assert codes(plan(tmp_path, letters)) == ["kqzv", "bnmw", "rtyp"]


def test_one_title_over_all_is_remembered(tmp_path: Path) -> None:
    content = "barcode,name,email\n{},,\nC-1,Ada,a@x.se\nC-2,Bo,b@x.se\n"
    stored = stored_of(plan(tmp_path, content.format("Balcony")))
    assert asked(plan(tmp_path, content.format("Balcony"), stored=stored)) == []
    assert asked(plan(tmp_path, content.format("Väntelista"), stored=stored)) == ["column:title above"]
