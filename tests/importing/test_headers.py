"""Where a table begins: titles above its header, headers of several lines, files without one; and its rows
that are no tickets."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from tests.importing.files import case, opened, read, saved
from tickets.importing import FileRefused, Record
from tickets.importing.header import Header

ADA = ["A-1", "Ada T", "Day"]
BO = ["A-2", "Bo T", "Day"]
NAMES = ["Barcode", "Name", "Product"]


def codes(records: list[Record]) -> dict[int, str]:
    return {
        record.number: record.fields.get("barcode") or record.problem or record.left_out for record in records
    }


# --- the header ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "above",
    [
        [["Guest list Summer"]],
        [["Guest list Summer"], []],
        [["Guest list", None, None], ["Exported", "2026-08-01"], []],
        [[None, "ID"], []],
        [["Event:", "Summer Fest", "2026-08-01 18:00"], []],
        [["Person", None, "Ticket"]],
    ],
    ids=["title", "blank row", "several", "title like a column", "as wide", "groups of columns"],
)
def test_a_header_may_stand_below_a_title(tmp_path: Path, above: list[list[str]]) -> None:
    content = saved({"T": [*above, NAMES, ADA, BO]})
    (tmp_path / "file").write_bytes(content)
    found = opened(tmp_path / "file")
    at = len(above) + 1
    assert (found.header_row, codes(list(found.rows))) == (at, {at + 1: "A-1", at + 2: "A-2"})
    assert found.notes[0].startswith(f"The header is row {at}; above it is '{above[0][0] or above[0][1]}'")


def test_a_title_of_a_csv_file_does_not_decide_its_delimiter(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("Guests, sorted, all\n\nBarcode;Name\nA-1;T, Ada\n", encoding="utf-8")
    found = opened(tmp_path / "file")
    assert (found.form, found.header_row) == ("CSV, UTF-8, separated by semicolon", 3)
    assert [record.fields["name"] for record in found.rows] == ["T, Ada"]


def test_a_title_above_columns_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(
        "Guest list\n\nNummer,Gast,Art\nN1x,Ada,VIP\n77,Bo,Std\n", encoding="utf-8"
    )
    found = opened(tmp_path / "file")
    assert (found.header_row, [*found.headers]) == (3, ["nummer", "gast", "art"])


def test_a_title_above_a_single_column(tmp_path: Path) -> None:
    assert codes(read(tmp_path, "Exported on 2026-08-01\n\nBarcode\nQ-1\nQ-2\n")) == {4: "Q-1", 5: "Q-2"}


def test_a_ticket_with_a_column_s_name_in_a_cell_is_no_header(tmp_path: Path) -> None:
    found = read(tmp_path, "Nummer,Gast,Art\nN1x,Ada,ID\n77,Bo,VIP\n")
    assert [(record.number, record.fields["nummer"]) for record in found] == [(2, "N1x"), (3, "77")]


def test_one_row_with_stray_cells_does_not_hide_the_header(tmp_path: Path) -> None:
    found = read(tmp_path, "barcode,name\nA-1,a\nA-2,b,x,y,z,q\nA-3,c\n")
    assert codes(found) == {2: "A-1", 3: "has 6 cells, but the header has 2", 4: "A-3"}


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ('"Ticket\ncode";"Name";"Notes, all"\r\nQ-1;T, Ada;\r\n', "semicolon"),
        ('"Name, first\nand last"|"Barcode"|x\nT, A|Q-1|a\n', "bar"),
        ('"Barcode"\t"Name; first, last"\nQ-1\tA\n', "tab"),
        ("Barcode;Name, Vorname, Titel, Anrede\nQ-1;T\n", "semicolon"),
        ("Nummer;Gast\n1;Müller, Jörg, Dr.\n2;Meier, A, B\n", "semicolon"),
        ("sep=,\nBarcode,a;b;c\nQ-1,x\n", "comma"),
        ("Barcode\nhttps://t.example/?a=1,2\nhttps://t.example/?a=1,3\n", "semicolon"),
        ("Barcode\nQ-1\nQ,2\nQ-3\n", "semicolon"),
        ("Barcode\nQ-1\n", "comma"),
    ],
    ids=[
        "lines",
        "quoted commas",
        "tab",
        "many commas",
        "unknown",
        "named",
        "codes with commas",
        "one with a comma",
        "one",
    ],
)
def test_the_delimiter_is_judged_by_the_whole_header(tmp_path: Path, content: str, form: str) -> None:
    (tmp_path / "file").write_text(content, encoding="utf-8", newline="")
    found = opened(tmp_path / "file")
    assert found.form == f"CSV, UTF-8, separated by {form}"
    assert not any(record.problem for record in found.rows)


@pytest.mark.parametrize(
    "header",
    [
        "\ufeff\u200bbarcode,Name",
        "\ufeffBar\u00adcode,Name",
        '" BARCODE\u00a0","Na\u200dme"',
        "Ｂａｒｃｏｄｅ,name",
        '"\nbarcode\n",name',
        "barcode\u200e,name",
    ],
)
def test_invisible_characters_of_a_header_do_not_hide_a_column(tmp_path: Path, header: str) -> None:
    (record,) = read(tmp_path, f"{header}\nQ-1,Ada\n")
    assert record.fields == {"barcode": "Q-1", "name": "Ada"}


def test_a_column_is_shown_as_the_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('"Ticket\n Code",Full-Name,,name\nQ-1,A,x,b\n', encoding="utf-8")
    found = opened(tmp_path / "file")
    assert found.headers == {"ticket code": "Ticket Code", "full name": "Full-Name", "name": "name"}


@pytest.mark.parametrize(
    "content",
    [
        "SC-1\nSC-2\nSC-3\n",
        "10000191230535\n10000191230542\n",
        "T-100,Ada T,ada@example.org,A 7\nT-101,Bo T,bo@example.org,A 8\n",
        "A-1,Day,2026-08-01\nA-2,Day,2026-08-01\n",
        "g9eykbfmnrshm2nf\nx9ttcksna34s788c\n",
        "A7\nB22\nC\nD4\n",
        "A7,Name,Day\nB8,Name,Day\n",
        "31cbefae-0779-48ec;TRUE\n8f2b9c6d-0e1f-4a5b;TRUE\n",
        "10000191230535;14-15;Opera;0;FALSE\n",
    ],
)
@pytest.mark.parametrize("chosen", [False, True])
def test_a_file_without_a_header_loses_no_guest_to_it(tmp_path: Path, content: str, chosen: bool) -> None:
    """Even if its first code is chosen as the name of the column with codes."""
    first = content.replace(";", ",").split(",")[0].split("\n")[0].lower().replace("-", " ")
    names = {first, "name"} if chosen else {"name"}
    with pytest.raises(FileRefused, match="The file has no header: its first row"):
        read(tmp_path, content, matters=names.__contains__, knows=lambda found: bool(names & found.keys()))


@pytest.mark.parametrize(
    "header",
    ["Barcode,2026-08-01,2026-08-02", "Code 1,Name 1,Code 2", "Artikel 2026,Gast,Tag 1", "barcode,1,2"],
)
def test_a_header_with_numbers_is_a_header(tmp_path: Path, header: str) -> None:
    (record,) = read(tmp_path, f"{header}\nX77,yes,no\n")
    assert record.number == 2


def test_the_files_of_the_cases_have_these_headers() -> None:
    found = {name: case(name)[0] for name in ("06", "14", "16", "45", "52", "53", "57")}
    assert {
        name: (one.header_row, one.form.split()[-1], list(one.headers)) for name, one in found.items()
    } == {
        "06": (3, "'Sheet'", ["ticket code", "name", "valid until"]),
        "14": (1, "semicolon", ["ticket code", "name", "notes"]),
        "16": (1, "tab", ["ticket code", "name"]),
        "45": (1, "comma", ["barcode", "name"]),
        "52": (1, "semicolon", ["name, first and last", "barcode", "x"]),
        "53": (1, "comma", ["barcode"]),
        "57": (1, "comma", ["barcode", "name"]),
    }


@pytest.mark.parametrize("name", ["15", "49", "60"])
def test_a_file_that_cannot_be_read_right_is_refused(name: str) -> None:
    with pytest.raises(FileRefused, match=r"save it as UTF-8|has no header|'Name' twice"):
        case(name)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["Barcode,Name\nQ-1,Ada\n", "Код,Имя\nЯ-1,Ада Тестова\nЯ-2,Бо\n"])
def test_utf_16_without_a_mark_is_refused_with_the_remedy(tmp_path: Path, encoding: str, text: str) -> None:
    with pytest.raises(FileRefused, match=r"UTF-16 without the mark .* save it as UTF-8"):
        read(tmp_path, text.encode(encoding))


def test_other_encodings_without_a_mark_are_binary_data(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="binary data"):
        read(tmp_path, "Barcode,Name\nQ-1,Ada\n".encode("utf-32-le"))


# --- columns ---------------------------------------------------------------------------------------


def test_a_second_column_of_a_name_is_read_beside_the_first_one(tmp_path: Path) -> None:
    """No column is lost in silence: it may be the one with the status."""
    (record,) = read(tmp_path, "Barcode,State,,State,State\nQ-1,BY,x,void,paid\n")
    assert record.fields == {
        "barcode": "Q-1",
        "state": "BY",
        "column 3": "x",
        "state (column 4)": "void",
        "state (column 5)": "paid",
    }


@given(
    header=st.lists(st.sampled_from(["a", "a (column 3)", "column 2", "b", "", "a (column 2)"]), max_size=6)
)
def test_every_column_has_a_name_of_its_own(header: list[str]) -> None:
    names = Header(1, header, False, [], 0).unique_names
    assert len({*names}) == len(names) == len(header)
    assert all(
        own == name for own, name in zip(names, header, strict=True) if header.count(name) == 1 and name
    )


def test_rows_may_have_empty_cells_too_many(tmp_path: Path) -> None:
    assert codes(read(tmp_path, "barcode,name,,\nTD-1,A,,\nTD-2,B,,,,\nTD-3,C\n")) == {
        2: "TD-1",
        3: "TD-2",
        4: "TD-3",
    }


def test_rows_of_a_workbook_that_are_numbered_anyhow_are_all_read(tmp_path: Path) -> None:
    content = saved({"T": [["Barcode"], ["Q-1"], ["Q-2"], ["Q-3"]]})
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, re.sub(rb'(<row r="|<c r="A)[34]"', rb'\g<1>1"', old.read(name)))
    assert [record.fields["barcode"] for record in read(tmp_path, out.getvalue())] == ["Q-1", "Q-2", "Q-3"]


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


def test_a_guest_or_a_code_of_that_name_is_no_total(tmp_path: Path) -> None:
    assert codes(read(tmp_path, "Name,Barcode\nTotal,A-1\nSum,12\n")) == {2: "A-1", 3: "12"}
    assert codes(read(tmp_path, "Barcode\nTOTAL\nQ-1\n")) == {2: "TOTAL", 3: "Q-1"}


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
