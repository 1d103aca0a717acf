"""Where a table begins: titles above its header, headers of several lines, files without one; and its rows
that are no tickets."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import Workbook

from tests.importing.files import case, opened, read, saved
from tickets.importing import FileRefused, Record

ADA = ["A-1", "Ada T", "Day"]
BO = ["A-2", "Bo T", "Day"]
NAMES = ["Barcode", "Name", "Product"]


def codes(records: list[Record]) -> dict[int, str]:
    return {
        record.number: record.fields.get("barcode") or record.problem or record.left_out for record in records
    }


# --- the header ------------------------------------------------------------------------------------


def test_one_row_with_stray_cells_does_not_hide_the_header(tmp_path: Path) -> None:
    found = read(tmp_path, "barcode,name\nA-1,a\nA-2,b,x,y,z,q\nA-3,c\n")
    assert codes(found) == {2: "A-1", 3: "has 6 cells, but the header has 2", 4: "A-3"}


def test_a_column_is_shown_as_the_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('"Ticket\n Code",Full-Name,,name\nQ-1,A,x,b\n', encoding="utf-8")
    found = opened(tmp_path / "file")
    assert found.headers == {"ticket code": "Ticket Code", "full name": "Full-Name", "name": "name"}


@pytest.mark.parametrize("name", ["15", "49", "60"])
def test_a_file_that_cannot_be_read_right_is_refused(name: str) -> None:
    with pytest.raises(FileRefused, match=r"save it as UTF-8|has no header|'Name' twice"):
        case(name)


# --- columns ---------------------------------------------------------------------------------------


def test_rows_may_have_empty_cells_too_many(tmp_path: Path) -> None:
    assert codes(read(tmp_path, "barcode,name,,\nTD-1,A,,\nTD-2,B,,,,\nTD-3,C\n")) == {
        2: "TD-1",
        3: "TD-2",
        4: "TD-3",
    }


def test_a_formula_beyond_the_header_damages_no_column(tmp_path: Path) -> None:
    (record,) = read(tmp_path, saved({"T": [["Barcode"], ["Q-1", None, "=1+1"]]}))
    assert (record.fields, record.damaged) == ({"barcode": "Q-1"}, {})


# --- rows that are no tickets ----------------------------------------------------------------------


def hide(*rows: int) -> bytes:
    def change(book: Workbook) -> None:
        for row in rows:
            book.worksheets[0].row_dimensions[row].hidden = True

    return saved({"T": [NAMES, ADA, BO]}, change)


def test_hidden_and_filtered_rows_are_left_out_and_said(tmp_path: Path) -> None:
    hidden = "is hidden in the sheet, by hand or by a filter"
    assert codes(read(tmp_path, hide(2))) == {2: hidden, 3: "A-2"}
    assert codes(read(tmp_path, hide(2, 3), hidden=True)) == {2: "A-1", 3: "A-2"}
    assert codes(read(tmp_path, hide(1))) == {2: "A-1", 3: "A-2"}, "a hidden header is one"


@pytest.mark.parametrize("workbook", [False, True])
def test_a_repeated_header_and_a_total_are_left_out_and_said(tmp_path: Path, workbook: bool) -> None:
    rows = [NAMES, ADA, NAMES, BO, ["Total", None, 2], ["Gesamtsumme:", "60,00 €"], ["Summe: 2"]]
    text = "\n".join(",".join(f'"{cell or ""}"' for cell in row) for row in rows) + "\n"
    found = read(tmp_path, saved({"T": rows}) if workbook else text)
    assert codes(found) == {
        2: "A-1",
        3: "repeats the header",
        4: "A-2",
        5: "is a total",
        6: "is a total",
        7: "is a total",
    }


# --- sheets ----------------------------------------------------------------------------------------

TWO = {
    "Orders": [["ID", "Order", "Status"], [1, "A", "paid"]],
    "Tickets": [["Barcode", "Name"], ["WS-1", "Ada"]],
}


def test_sheets_that_could_be_meant_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(saved({**TWO, "Notes": [["Text"], ["x"]]}))
    assert opened(tmp_path / "file").sheets == ["Orders", "Tickets"]
    chosen = opened(tmp_path / "file", sheet="Tickets")
    assert chosen.form == "Excel workbook, sheet 'Tickets'; not read: 'Orders', 'Notes'"
    assert codes(list(chosen.rows)) == {2: "WS-1"}
    with pytest.raises(FileRefused, match=r"no sheet 'Tickts'\. Its sheets are 'Orders', 'Tickets', 'Notes'"):
        opened(tmp_path / "file", sheet="Tickts")


def test_a_hidden_sheet_is_read_only_if_no_other_fits(tmp_path: Path) -> None:
    def change(book: Workbook) -> None:
        book["Orders"].sheet_state = "hidden"

    (tmp_path / "file").write_bytes(saved(TWO, change))
    found = opened(tmp_path / "file")
    assert (found.sheets, codes(list(found.rows))) == (["Tickets"], {2: "WS-1"})
    (tmp_path / "file").write_bytes(saved({"Orders": TWO["Orders"], "Notes": [["Text"], ["x"]]}, change))
    found = opened(tmp_path / "file")
    assert (found.sheets, found.form.split(";")[0]) == (["Orders"], "Excel workbook, sheet 'Orders' (hidden)")
