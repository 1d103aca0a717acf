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
        (b'a,"b\nT-1,x\n', "Row 1 cannot be read as CSV"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_files_that_are_none_of_ours_get_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(FileRefused, match=sentence):
        read(tmp_path, content)


def test_a_nul_that_no_database_keeps_is_a_wrong_row(tmp_path: Path) -> None:
    found = read(tmp_path, b"ticket_id,name\nQ-1,a\x00b\nQ-2,c\n")
    assert [(record.number, record.problem) for record in found] == [(2, "holds a NUL character"), (3, "")]


def problems(records: list[Record]) -> dict[int, str]:
    return {record.number: record.problem for record in records}


def test_a_quotation_mark_that_is_never_closed_takes_only_what_follows_it(tmp_path: Path) -> None:
    before = "".join(f"Q-{number},x\n" for number in range(2, 7))
    found = read(tmp_path, f'ticket_id,name\n{before}Q-7,"open\nQ-8,b\n\nQ-10,c\n'.encode())
    swallowed = "is swallowed by a quotation mark in row 7"
    assert problems(found) == dict.fromkeys(range(2, 7), "") | {
        7: "cannot be read as CSV: unexpected end of data",
        8: swallowed,
        10: swallowed,
    }


def test_rows_go_on_where_the_next_quotation_mark_ends_what_was_swallowed(tmp_path: Path) -> None:
    found = read(tmp_path, b'ticket_id,name\nQ-2,"open\n"Q-3","b"\n"Q-4","c"\nQ-5,d\n')
    assert problems(found) == {
        2: "cannot be read as CSV: ',' expected after '\"'",
        3: "is swallowed by a quotation mark in row 2",
        4: "",
        5: "",
    }
    assert found[2].fields == {"ticket id": "Q-4", "name": "c"}


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_cell_that_is_no_ticket_by_its_length_is_a_wrong_row(tmp_path: Path, quote: bytes) -> None:
    long = quote + b"x" * 1_000_001 + quote
    found = read(tmp_path, b"ticket_id,name\nQ-2,a\nQ-3," + long + b"\nQ-4,c\n")
    assert problems(found) == {2: "", 3: "has a cell of 1,000,001 characters", 4: ""}


@pytest.mark.parametrize("first", ["sep=|\r\n", '"SEP=|"\n'])
def test_the_line_that_tells_excel_the_delimiter_is_no_row(tmp_path: Path, first: str) -> None:
    (record,) = read(tmp_path, f"{first}ticket_id|name;of;many\r\nT-1|x\r\n".encode())
    assert (record.number, record.fields) == (2, {"ticket id": "T-1", "name;of;many": "x"})


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_seen_without_its_mark(tmp_path: Path, encoding: str) -> None:
    (record,) = read(tmp_path, "ticket_id,name\r\nT-1,Zoë Жук\r\n".encode(encoding))
    assert record.fields == {"ticket id": "T-1", "name": "Zoë Жук"}


def test_a_line_that_is_no_json_is_a_wrong_row(tmp_path: Path) -> None:
    lines = ['{"ticket_id": "A-1", "name": "one\u2028line"}', '{"ticket_id": ', '{"ticket_id": "A-3"}']
    found = read(tmp_path, "\r\n".join(lines).encode())
    assert [(record.number, record.fields.get("ticket id", "")) for record in found] == [
        (1, "A-1"),
        (2, ""),
        (3, "A-3"),
    ]
    assert found[0].fields["name"] == "one\u2028line"
    assert found[1].problem.startswith("is not JSON: ")


def test_a_file_that_is_called_json_lines_may_begin_with_a_wrong_one(tmp_path: Path) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text('oops\n{"ticket_id": "A-2"}\n', encoding="utf-8")
    wrong, right = read_records(path)
    assert wrong.problem.startswith("is not JSON: ")
    assert right.fields == {"ticket id": "A-2"}


def test_a_list_that_breaks_off_is_not_taken_for_lines(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="not JSON"):
        read(tmp_path, b'[\n{"ticket_id": "A-1"},\n{"ticket_id": "A-2"},\n{"ticket_id": "A-3"}\n')


def test_one_object_beyond_the_standard_does_not_sink_a_list(tmp_path: Path) -> None:
    odd = rb'[{"ticket_id": "A-1"}, {"ticket_id": "A-2", "x": "\ud800"}, {"ticket_id": "A-3", "x": NaN},'
    found = read(tmp_path, odd + b' {"ticket_id": "A-4", "x": ' + b"9" * 5_000 + b"}]")
    assert problems(found) == {1: "", 2: "holds half of a surrogate pair", 3: "", 4: ""}
    assert found[2].fields == {"ticket id": "A-3", "x": ""}


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
