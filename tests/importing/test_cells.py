"""What spreadsheets and other programs do to cells: codes that are damaged, kept, or worth a word."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from tests.importing.files import read, saved
from tests.support.table import table
from tickets.importing.record import (
    A_DATE,
    Record,
    invisible_inside,
)


def barcode(records: list[Record]) -> tuple[str, str]:
    """The code of the only record, and its damage."""
    (record,) = records
    return record.code("barcode"), record.damage("barcode")


def sheet(value: Any, form: str = "General") -> bytes:
    """A workbook with this value in a cell of this number format."""

    def change(book: Workbook) -> None:
        book.worksheets[0]["A2"].number_format = form

    return saved({"Tickets": [["Barcode", "Name"], [value, "Ada T"]]}, change)


# --- numbers of workbooks --------------------------------------------------------------------------


def test_a_row_of_nothing_but_formulas_without_values_is_not_blank(tmp_path: Path) -> None:
    (record,) = read(tmp_path, saved({"T": [["Barcode"], ["=1+1"]]}))
    assert (record.number, record.damage("barcode")) == (2, "a formula without a value")


@pytest.mark.parametrize(
    ("value", "form", "text", "note"),
    [
        (datetime(2026, 8, 2), "yyyy-mm-dd hh:mm", "2026-08-02 00:00:00", ""),  # noqa: DTZ001
        (datetime(2026, 8, 2), "DD.MM.YYYY", "2026-08-02", ""),  # noqa: DTZ001
        (datetime(2026, 8, 2), 'd. mmmm yyyy "(Uhrzeit)"', "2026-08-02", ""),  # noqa: DTZ001
        (datetime(2026, 8, 2), "[$-407]d. mmmm yyyy", "2026-08-02", ""),  # noqa: DTZ001
        (datetime(2026, 8, 2, 18), "DD.MM.YYYY HH:MM", "2026-08-02 18:00:00", ""),  # noqa: DTZ001
        (
            datetime(2026, 8, 2, 18),  # noqa: DTZ001
            "yyyy-mm-dd",
            "2026-08-02 18:00:00",
            "its format does not show the time 18:00:00",
        ),
        (datetime(2026, 8, 2, 17, 59, 59, 999_000), "d.m.yy h:mm", "2026-08-02 18:00:00", ""),  # noqa: DTZ001
        (time(23, 59), "hh:mm", "23:59:00", ""),
    ],
)
def test_a_cell_s_format_tells_a_date_from_midnight(
    tmp_path: Path, value: Any, form: str, text: str, note: str
) -> None:
    content = saved(
        {"T": [["Barcode", "Valid until"], ["DS-1", value]]},
        lambda book: setattr(book.worksheets[0]["B2"], "number_format", form),
    )
    (record,) = read(tmp_path, content)
    assert record.fields["valid until"] == text
    assert (record.damage("valid until", A_DATE), record.notes.get("valid until", "")) == ("", note)


# --- texts -----------------------------------------------------------------------------------------


def test_an_apostrophe_of_a_name_is_kept(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "Barcode,Name\nQ-1,'t Hooft\n")
    assert record.fields["name"] == "'t Hooft"


@table(
    ("text", "inside"),
    [
        ("ABC\N{ZERO WIDTH SPACE}-3", "U+200B (zero width space)"),
        ("ABC\N{SOFT HYPHEN}-6", "U+00AD (soft hyphen)"),
        ("AB\nC", "U+000A"),
        ("A\tB\N{ZERO WIDTH SPACE}C", "U+0009"),
        ("\N{LEFT-TO-RIGHT MARK}ABC-4", ""),
        ("\N{ZERO WIDTH NO-BREAK SPACE} ABC \t\N{RIGHT-TO-LEFT MARK}", ""),
        ("A B\N{NO-BREAK SPACE}C", ""),
        ("АBC‐-5", ""),
        ("\N{ZERO WIDTH SPACE}", ""),
        ("", ""),
    ],
    count=10,
)
def test_the_first_invisible_character_inside_is_named(text: str, inside: str) -> None:
    assert invisible_inside(text) == inside
