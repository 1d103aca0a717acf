"""Encodings, delimiters and quotes of real files, and messages for unsupported ones."""

from __future__ import annotations

import contextlib
import csv
import io
import random
import re
from collections.abc import Callable, Iterator
from itertools import compress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickets.formulas import quoted
from tickets.importing import FileRefused, Record
from tickets.importing.reading import open_records, records_of_csv

HEADER = "Order code{0}Position ID{0}Attendee name"


def read_records(path: Path, *, matters: Callable[[str], bool] = lambda name: True) -> Iterator[Record]:
    return open_records(path, matters=matters).rows


def read(tmp_path: Path, content: bytes) -> list[Record]:
    path = tmp_path / "file"
    path.write_bytes(content)
    return list(read_records(path))


@pytest.mark.parametrize("seed", range(20))
def test_binary_data_is_no_file_of_tickets(tmp_path: Path, seed: int) -> None:
    content = random.Random(seed).randbytes(20_000)
    for data in (b"\x00\x01\xff", b"a\n" + content, b"\x89PNG\r\n\x1a\n" + content):
        with pytest.raises(FileRefused, match="is no CSV, XLSX or JSON file"):
            read(tmp_path, data)


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


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        (b"T-1,Zo\xc3\xab\nT-2,Ren\xe9\nT-3,Ada\n", "Byte 32 of the file (0xe9), in line 3,"),
        (b"T-1,Ren\xe9\nT-2,Zo\xc3\xab\n", "Byte 23 of the file (0xe9), in line 2,"),
        (b"T-1,Zo\xc3\xab\r\nT-2,Zo\xc3", "Byte 32 of the file (0xc3), in line 3,"),
    ],
    ids=["a stray byte", "before the others", "cut off"],
)
def test_utf_8_with_a_wrong_byte_is_not_read_as_windows_1252(tmp_path: Path, rows: bytes, place: str) -> None:
    with pytest.raises(FileRefused, match=re.escape(f"{place} is not UTF-8, but others are")):
        read(tmp_path, b"ticket_id,name\n" + rows)


@pytest.mark.parametrize("row", ["T-1;Müller;»Spaß«", "T-1;SOIRÉE;« CAFÉ\N{NO-BREAK SPACE}»"])
def test_windows_1252_may_hold_a_pair_that_is_also_utf_8(tmp_path: Path, row: str) -> None:
    (record,) = read(tmp_path, f"ticket_id;name;product\n{row}\n".encode("cp1252"))
    assert [*record.fields.values()] == [cell.strip() for cell in row.split(";")]


def test_a_delimiter_inside_quotes_does_not_count() -> None:
    assert records_of_csv('"a,b,c,d";"e,f";g\n', bool).form == "CSV, UTF-8, separated by semicolon"


def test_rows_are_numbered_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    """The header is row 1; a cell with a line break and a blank row count like any other row."""
    records = read(tmp_path, b'ticket_id,name\nT-1,"two\nlines"\n\n,\nT-2,x\n')
    assert [(record.number, record.fields["ticket id"]) for record in records] == [(2, "T-1"), (5, "T-2")]


INVOICE = b"ticket_id,Company,City,%b,Company,Invoice address name,City\nT-1,A Ltd,Ulm,x,I Ltd,Zoe,Bonn\n"


def test_of_duplicate_pretix_columns_the_attendees_is_read(tmp_path: Path) -> None:
    """Its exports have the attendee's company, then the invoice's, under one name; older ones the address."""
    (record,) = read(tmp_path, INVOICE % b"VAT ID")
    assert (record.fields["company"], record.fields["city"]) == ("A Ltd", "Ulm")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"ticket_id,seat,Ticket-ID\nT-1,x,T-2\n", "column 'ticket_id' twice, as columns 1 and 3: rename or"),
        (b"ticket_id,Company,Company\nT-1,a,b\n", "'Company' twice, as columns 2 and 3"),
        (INVOICE % b"City", "'City' twice, as columns 3 and 4"),
        (INVOICE % b"Invoice address name", "'Invoice address name' twice"),
    ],
    ids=["two spellings", "no export of pretix", "a question of that name", "of the invoice alone"],
)
def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(FileRefused, match=sentence):
        read(tmp_path, content)


def test_unread_columns_may_share_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"ticket_id,Which size?,Which size?,,\nT-1,S,L,,\n")
    (record,) = read_records(tmp_path / "file", matters={"ticket id"}.__contains__)
    assert record.fields["ticket id"] == "T-1"


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ('{"ticket_id": "A", "ticket_id": "B"}', "says 'ticket_id' twice"),
        (
            '{"ticket_id": "A", "Ticket ID": "B"}',
            "says 'ticket_id' and 'Ticket ID', which are the same column",
        ),
        ('{"ticket_id": "A", "name": {"en": "a", "en": "b"}}', "says 'en' twice in 'name'"),
    ],
)
def test_an_object_with_a_duplicate_key_is_a_wrong_row(tmp_path: Path, item: str, problem: str) -> None:
    listed = read(tmp_path, f'[{item}, {{"ticket_id": "C"}}]'.encode())
    by_line = read(tmp_path, f'{item}\n{{"ticket_id": "C"}}\n'.encode())
    assert problems(listed) == problems(by_line) == {1: problem, 2: ""}
    assert listed[1].fields == {"ticket id": "C"}


@pytest.mark.parametrize(
    ("content", "twice"),
    [
        (b'{"tickets": [{"ticket_id": "A"}], "tickets": [{"ticket_id": "B"}]}', "'tickets' twice"),
        (b'{"event": {"orders": [], "orders": []}}', "'orders' twice in 'event'"),
    ],
)
def test_a_json_file_with_a_duplicate_list_is_refused(tmp_path: Path, content: bytes, twice: str) -> None:
    with pytest.raises(FileRefused, match=rf"The JSON of this file says {twice}\."):
        read(tmp_path, content)


def test_the_apostrophe_before_a_formula_is_taken_off(tmp_path: Path) -> None:
    (record,) = read(tmp_path, b"ticket_id,phone\nT-1,'+49 30 1\n")
    assert record.fields["phone"] == "+49 30 1"


def test_a_row_with_too_many_cells_is_a_problem_of_that_row(tmp_path: Path) -> None:
    first, second = read(tmp_path, b"ticket_id,name\nT-1,a,b\nT-3,x,,\n")
    assert first.problem == "has 3 cells, but the header has 2"
    assert second.problem == ""


def test_a_row_with_too_few_cells_is_a_problem_of_that_row(tmp_path: Path) -> None:
    found = read(tmp_path, b"ticket_id,name,seat\nT-1\nT-2,b\nT-3,c,\n")
    assert problems(found) == {
        2: "has 1 cell, but the header has 3",
        3: "has 2 cells, but the header has 3",
        4: "",
    }


@pytest.mark.parametrize(
    ("header", "row", "right"),
    [
        (b"ticket_id,name,comment,", b"T-1,x\n", True),
        (b"ticket_id,name,comment", b"T-1\n", False),
        (b"ticket_id,comment,comment", b"T-1\n", True),
        (b"ticket_id,name,comment", b"T-1,x", False),
        (b"ticket_id,name,,", b"T-1,x", True),
    ],
    ids=["nobody reads it", "a name", "nobody reads both", "torn, perhaps in x", "columns of no name"],
)
def test_a_row_may_end_before_unread_columns(tmp_path: Path, header: bytes, row: bytes, right: bool) -> None:
    (tmp_path / "file").write_bytes(header + b"\n" + row)
    (found,) = read_records(tmp_path / "file", matters={"ticket id", "name"}.__contains__)
    assert (found.problem == "") is right


def test_an_unknown_json_form_is_refused_with_the_expected_form(tmp_path: Path) -> None:
    path = tmp_path / "tickets.json"
    for content in ('"x"', "7", "null", '{"a": 1}'):
        path.write_text(content)
        with pytest.raises(FileRefused, match="No list of tickets was found in this JSON: a list of objects"):
            list(read_records(path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"  \n\n", "is empty"),
        (b"PK\x03\x04rest", "The workbook cannot be read"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1}', "No list of tickets"),
        (b"\xff\xfe\x00", "but the rest is not"),
        (b'"a,b\nT-1,x\n', "Row 1 cannot be read as CSV"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_unsupported_files_are_refused_with_the_reason(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(FileRefused, match=sentence):
        read(tmp_path, content)


def test_a_cell_with_a_nul_character_is_a_wrong_row(tmp_path: Path) -> None:
    found = read(tmp_path, b"ticket_id,name\nQ-1,a\x00b\nQ-2,c\n")
    assert [(record.number, record.problem) for record in found] == [(2, "contains a NUL character"), (3, "")]


def problems(records: list[Record]) -> dict[int, str]:
    return {record.number: record.problem for record in records}


def test_an_unclosed_quotation_mark_spoils_only_the_rows_after_it(tmp_path: Path) -> None:
    before = "".join(f"Q-{number},x\n" for number in range(2, 7))
    found = read(tmp_path, f'ticket_id,name\n{before}Q-7,"open\nQ-8,b\n\nQ-10,c\n'.encode())
    swallowed = "is inside a quoted cell that begins in row 7"
    assert problems(found) == dict.fromkeys(range(2, 7), "") | {
        7: "cannot be read as CSV: unexpected end of data",
        8: swallowed,
        10: swallowed,
    }


def test_rows_continue_after_the_next_closing_quotation_mark(tmp_path: Path) -> None:
    found = read(tmp_path, b'ticket_id,name\nQ-2,"open\n"Q-3","b"\n"Q-4","c"\nQ-5,d\n')
    assert problems(found) == {
        2: "cannot be read as CSV: ',' expected after '\"'",
        3: "is inside a quoted cell that begins in row 2",
        4: "",
        5: "",
    }
    assert found[2].fields == {"ticket id": "Q-4", "name": "c"}


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_cell_that_is_too_long_is_a_wrong_row(tmp_path: Path, quote: bytes) -> None:
    long = quote + b"x" * 1_000_001 + quote
    found = read(tmp_path, b"ticket_id,name\nQ-2,a\nQ-3," + long + b"\nQ-4,c\n")
    assert problems(found) == {2: "", 3: "has a cell of 1,000,001 characters", 4: ""}


@pytest.mark.parametrize("first", ["sep=|\r\n", '"SEP=|"\n'])
def test_the_delimiter_line_for_excel_is_not_a_row(tmp_path: Path, first: str) -> None:
    (record,) = read(tmp_path, f"{first}ticket_id|name;of;many\r\nT-1|x\r\n".encode())
    assert (record.number, record.fields) == (2, {"ticket id": "T-1", "name;of;many": "x"})


def test_a_line_that_is_not_json_is_a_wrong_row(tmp_path: Path) -> None:
    lines = ['{"ticket_id": "A-1", "name": "one\u2028line"}', '{"ticket_id": ', '{"ticket_id": "A-3"}']
    found = read(tmp_path, "\r\n".join(lines).encode())
    assert [(record.number, record.fields.get("ticket id", "")) for record in found] == [
        (1, "A-1"),
        (2, ""),
        (3, "A-3"),
    ]
    assert found[0].fields["name"] == "one\u2028line"
    assert found[1].problem.startswith("is not JSON: ")


def test_blank_lines_count_in_line_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, b'{"ticket_id": "A-1"}\n\n \n{bad\n{"ticket_id": "A-5"}\n\n')
    assert [record.number for record in found] == [1, 4, 5]
    assert found[1].problem.startswith("is not JSON: ")
    assert found[1].problem.endswith(", at its character 2")


def test_a_jsonl_file_may_begin_with_a_wrong_line(tmp_path: Path) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text('oops\n{"ticket_id": "A-2"}\n', encoding="utf-8")
    wrong, right = read_records(path)
    assert wrong.problem.startswith("is not JSON: ")
    assert right.fields == {"ticket id": "A-2"}


def test_a_truncated_json_list_is_not_read_as_json_lines(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="not JSON"):
        read(tmp_path, b'[\n{"ticket_id": "A-1"},\n{"ticket_id": "A-2"},\n{"ticket_id": "A-3"}\n')


def test_one_non_standard_object_does_not_invalidate_a_list(tmp_path: Path) -> None:
    odd = rb'[{"ticket_id": "A-1"}, {"ticket_id": "A-2", "x": "\ud800"}, {"ticket_id": "A-3", "x": NaN},'
    found = read(tmp_path, odd + b' {"ticket_id": "A-4", "x": ' + b"9" * 5_000 + b"}]")
    assert problems(found) == {1: "", 2: "contains half of a surrogate pair", 3: "", 4: ""}
    assert found[2].fields == {"ticket id": "A-3", "x": ""}


def test_a_missing_file_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cannot be read: No such file"):
        list(read_records(tmp_path / "absent"))


CELLS = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=12)


@settings(deadline=None, print_blob=True)
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6), delimiter=st.sampled_from(",;\t|"))
@example(rows=[["", "", "\n"], ["", "", "'\n"], ["", "'", "=1"]], delimiter=",")
def test_rows_written_as_we_write_them_are_read_back(rows: list[list[str]], delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["ticket_id", "b", "c"])
    cells = [[quoted(cell) for cell in row] for row in rows]
    writer.writerows(cells)
    found = [list(record.fields.values()) for record in records_of_csv(out.getvalue(), bool).rows]
    kept = [any(cell.strip() for cell in row) for row in cells]
    assert found == [[cell.strip() for cell in row] for row in compress(rows, kept)]


@settings(deadline=None, print_blob=True)
@given(content=st.binary(max_size=200))
def test_random_bytes_do_not_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    with contextlib.suppress(FileRefused):
        list(read_records(path))


def test_the_delimiter_is_that_of_a_header_which_is_damaged() -> None:
    """Another delimiter would read it, as one column that nobody knows."""
    with pytest.raises(FileRefused, match="Row 1 cannot be read as CSV"):
        records_of_csv('ticket_id,"b\nT-1,x\n', bool, lambda names: "ticket id" in names)
