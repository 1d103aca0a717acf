"""Files as people have them: encodings, delimiters, quotes, and sentences for those that are none of ours."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickets.importing import FileRefused, Record, read_records
from tickets.importing.reading import delimiter_of, records_of_csv

HEADER = "Order code{0}Position ID{0}Attendee name"


def read(tmp_path: Path, content: bytes) -> list[Record]:
    path = tmp_path / "file"
    path.write_bytes(content)
    return list(read_records(path))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "cp1252"])
def test_delimiters_and_encodings_are_recognised(tmp_path: Path, delimiter: str, encoding: str) -> None:
    text = f"{HEADER.format(delimiter)}\r\nABC12{delimiter}1{delimiter}Zoë Müller\r\n"
    if encoding == "utf-16-le-bom":
        content = b"\xff\xfe" + text.encode("utf-16-le")
    else:
        content = text.encode(encoding)
    (record,) = read(tmp_path, content)
    assert record.fields == {"order code": "ABC12", "position id": "1", "attendee name": "Zoë Müller"}


def test_a_delimiter_inside_quotes_does_not_count() -> None:
    assert delimiter_of('"a,b,c,d";"e,f";g\n') == ";"


def test_rows_are_numbered_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    """The header is row 1; a cell with a line break and a blank row count like any other row."""
    records = read(tmp_path, b'ticket_id,name\nT-1,"two\nlines"\n\n,\nT-2,x\n')
    assert [(record.number, record.fields["ticket id"]) for record in records] == [(2, "T-1"), (5, "T-2")]


def test_of_columns_with_one_name_the_first_counts(tmp_path: Path) -> None:
    """pretix's older exports have the attendee's company, then the invoice's, under one name."""
    (record,) = read(tmp_path, b"ticket_id,Company,Company\nT-1,Attendee Ltd,Invoice Ltd\n")
    assert record.fields["company"] == "Attendee Ltd"


def test_the_apostrophe_before_a_formula_is_taken_off(tmp_path: Path) -> None:
    (record,) = read(tmp_path, b"ticket_id,phone\nT-1,'+49 30 1\n")
    assert record.fields["phone"] == "+49 30 1"


def test_a_row_with_too_many_cells_is_a_problem_of_that_row(tmp_path: Path) -> None:
    first, second, third = read(tmp_path, b"ticket_id,name\nT-1,a,b\nT-2\nT-3,x,,\n")
    assert first.problem == "has 3 cells, but the header has 2"
    assert (second.fields, second.problem) == ({"ticket id": "T-2"}, "")
    assert third.problem == ""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"  \n\n", "is empty"),
        (b"PK\x03\x04rest", "Excel workbook: export it as CSV"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1}', "No list of tickets"),
        (b"\xff\xfe\x00", "does not go on so"),
        (b'a,b\n"' + b"x" * 1_100_000, "cannot be read as CSV"),
        (b'ticket_id,name\nQ-1,"unterminated\nQ-2,b\nQ-3,c\n', "Row 2 cannot be read as CSV"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_files_that_are_none_of_ours_get_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(FileRefused, match=sentence):
        read(tmp_path, content)


def test_a_nul_that_no_database_keeps_is_a_wrong_row(tmp_path: Path) -> None:
    found = read(tmp_path, b"ticket_id,name\nQ-1,a\x00b\nQ-2,c\n")
    assert [(record.number, record.problem) for record in found] == [(2, "holds a NUL character"), (3, "")]


def test_a_missing_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cannot be read: No such file"):
        list(read_records(tmp_path / "absent"))


CELLS = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=12)


@settings(deadline=None, print_blob=True)
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6), delimiter=st.sampled_from(",;\t|"))
def test_what_a_csv_writer_wrote_is_read_back(rows: list[list[str]], delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["ticket_id", "b", "c"])
    writer.writerows(rows)
    found = [list(record.fields.values()) for record in records_of_csv(out.getvalue())]
    written = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    assert found == [[unguarded(cell) for cell in row] for row in written]


def unguarded(cell: str) -> str:
    return cell[1:].replace("\\|", "|") if cell[:1] == "'" and cell[1:2] in set("=+-@|%") else cell


@settings(deadline=None, print_blob=True)
@given(content=st.binary(max_size=200))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    with contextlib.suppress(FileRefused):
        list(read_records(path))
