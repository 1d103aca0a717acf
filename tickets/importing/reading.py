"""Read a CSV, XLSX or JSON file into records: numbered rows of named texts.

Encoding: a byte order mark decides; else UTF-8, else Windows-1252, which spreadsheet programs write. A file
that is UTF-8 except for some bytes, at most as many as its characters of several bytes, is refused.
Delimiter: the one in Excel's first line "sep=;", else the most frequent of comma, semicolon, tab and bar in
the header row, of those that lead to a column of ticket IDs. A row that is not valid CSV becomes a record
with a problem; so does a row whose length differs from the header's, and each row that an unclosed quotation
mark swallows. Reading continues after it.
A record's number is the one that a spreadsheet shows: the header is row 1, the first ticket row 2; in JSON
the first item is 1.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dtvn.wording import counted
from tickets.formulas import unquoted
from tickets.importing import workbook
from tickets.importing.pretix import records_of_json
from tickets.importing.record import FileRefused, Record, normalised

DELIMITERS = ",;\t|"
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
ENCODING_NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252"}
CELL_CHARACTERS_MAX = 1_000_000
"""A longer cell is taken for an unclosed quotation mark."""
CSV_LIMIT = 2**31 - 1
"""Cell size limit of the csv module: high enough that it finds the end of a row however long its cells
are."""
SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
"""A line for Excel only, which does not show it as a row."""
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
"""Characters that no text has."""
SAMPLE = 4_096
JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
INVOICE = frozenset({"company", "address", "zip code", "city", "country", "state"})
"""Columns that pretix's exports have twice under the same names: first for the attendee, then for the
invoice."""


class Records(NamedTuple):
    """A file's rows, read as they are asked for."""

    form: str
    """The recognised format, such as "CSV, Windows-1252, separated by semicolon"."""
    rows: Iterator[Record]
    """Raises FileRefused."""


def read_records(path: Path, *, matters: Callable[[str], bool] = lambda name: True) -> Iterator[Record]:
    """`open_records(...).rows`."""
    return open_records(path, matters=matters).rows


def open_records(
    path: Path,
    *,
    matters: Callable[[str], bool],
    knows: Callable[[Mapping[str, object]], bool] = lambda names: True,
) -> Records:
    """All records of a file; blank rows are skipped. Raises FileRefused. `matters`: whether a column, by its
    normalised name, is used: every row of CSV needs a cell for each of these, and their names must be
    unique. `knows`: whether columns identify tickets, which decides about the sheet of a workbook."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileRefused(f"{path.name} cannot be read: {error.strerror}.") from error
    if content.startswith(workbook.ZIP_MARK):
        sheet = workbook.open_sheet(
            content, lambda names: (knows(dict.fromkeys(names)), sum(map(matters, names)))
        )
        return Records(sheet.form, _checked(_records_of_rows(sheet.rows, matters)))
    if content.startswith(workbook.OLD_EXCEL_MARK):
        raise FileRefused(f"{path.name} is a workbook of an old Excel, or encrypted: save it as .xlsx.")
    text, encoding = decoded(content)
    start = text.lstrip()[:1]
    if not start:
        raise FileRefused(f"{path.name} is empty.")
    if start in "[{" or path.suffix.lower() in JSON_SUFFIXES:
        return Records(f"JSON, {encoding}", _checked(records_of_json(text, matters)))
    if _is_binary(text):
        raise FileRefused(f"{path.name} is no CSV, XLSX or JSON file: it contains binary data.")
    delimiter = named_delimiter(text) or delimiter_of(text, knows)
    form = f"CSV, {encoding}, separated by {DELIMITER_NAMES.get(delimiter, repr(delimiter))}"
    return Records(form, _checked(records_of_csv(text, matters, delimiter)))


def _is_binary(text: str) -> bool:
    """Whether a text cannot be CSV: control characters in its header, or in a twentieth of its beginning. A
    few elsewhere make wrong rows."""
    beginning = text.lstrip()[:SAMPLE]
    controls = len(CONTROLS.findall(beginning))
    header = beginning.splitlines()[0]
    return bool(CONTROLS.search(header)) or controls > max(3, len(beginning) // 20)


def _checked(records: Iterator[Record]) -> Iterator[Record]:
    for record in records:
        problem = record.problem or next(filter(None, map(_unkeepable, record.fields.values())), "")
        yield Record(record.number, {}, problem) if problem else record


def _records_of_rows(
    rows: Iterator[tuple[int, list[str], str]], matters: Callable[[str], bool]
) -> Iterator[Record]:
    """Records of a sheet's (number, cells, problem); the first row that is not blank is the header."""
    header: list[str] | None = None
    for number, row, problem in rows:
        if header is None:
            header = [normalised(cell) for cell in row]
            _check_header(row, header, matters)
        elif problem:
            yield Record(number, {}, problem)
        else:
            yield _record(number, header, row + [""] * (len(header) - len(row)), matters)


def _unkeepable(cell: str) -> str:
    """Why no database can store such a cell, "" if it can."""
    if len(cell) > CELL_CHARACTERS_MAX:
        return f"has a cell of {len(cell):,} characters"
    if "\x00" in cell:
        return "contains a NUL character"
    if not cell.isascii() and any("\ud800" <= character <= "\udfff" for character in cell):
        return "contains half of a surrogate pair"
    return ""


def decoded(content: bytes) -> tuple[str, str]:
    """The file's text, decoded by its byte order mark, as UTF-8, or as Windows-1252; and which it was. Raises
    FileRefused."""
    marked = next((encoding for mark, encoding in MARKS if content.startswith(mark)), "")
    encoding = marked or "utf-8"
    try:
        return content.decode(encoding), ENCODING_NAMES[encoding]
    except UnicodeDecodeError as error:
        if marked:
            raise FileRefused(f"The file begins as {marked}, but the rest is not: {error}.") from error
        # Windows-1252 forms a UTF-8 character now and then (ß«), but has more bytes that form none; a damaged
        # or mixed file, read so, has wrong names.
        right = content.decode(encoding, errors="ignore")
        characters = len(right) - len(right.encode("ascii", errors="ignore"))
        if characters >= len(content) - len(right.encode(encoding)):
            at = error.start
            line = len((content[:at] + b".").splitlines())
            raise FileRefused(
                f"Byte {at + 1:,} of the file ({content[at]:#04x}), in line {line:,}, is not UTF-8, but "
                "others are: correct it, or save the whole file as UTF-8."
            ) from error
        return content.decode("cp1252", errors="replace"), ENCODING_NAMES["cp1252"]


def named_delimiter(text: str) -> str:
    """The delimiter in a first line "sep=;", "" without one."""
    found = SEPARATOR_LINE.match(text)
    return found[1] if found else ""


def records_of_csv(text: str, matters: Callable[[str], bool], delimiter: str = "") -> Iterator[Record]:
    """Records of a CSV text with a header row; raises FileRefused if the header cannot be read. `delimiter`:
    "" for the one that the text names, else the most frequent one."""
    csv.field_size_limit(CSV_LIMIT)
    delimiter = delimiter or named_delimiter(text) or delimiter_of(text)
    if named := SEPARATOR_LINE.match(text):
        text = text[named.end() :]
    lines = list(io.StringIO(text, newline=""))
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    number = 0
    while True:
        number, begun = number + 1, rows.line_num
        try:
            row = next(rows, None)
        except csv.Error as error:
            if header is None:
                raise FileRefused(f"Row {number} cannot be read as CSV: {error}.") from error
            yield Record(number, {}, f"cannot be read as CSV: {error}")
            swallowed = lines[begun + 1 : rows.line_num]
            for further, line in enumerate(swallowed, number + 1):
                if line.strip():
                    yield Record(further, {}, f"is inside a quoted cell that begins in row {number}")
            number += len(swallowed)
            continue
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = [normalised(cell) for cell in row]
            _check_header(row, header, matters)
        else:
            # If the file was truncated, its last row has no line end, and the last cell may be incomplete.
            ended = rows.line_num < len(lines) or lines[-1].endswith(("\r", "\n"))
            yield _record(number, header, row, matters if ended else lambda name: True)


def delimiter_of(text: str, knows: Callable[[Mapping[str, object]], bool] = lambda names: True) -> str:
    """The most frequent delimiter outside quotation marks in the first non-blank line, of those that make it
    a header which `knows`, if there is one."""
    csv.field_size_limit(CSV_LIMIT)
    line = next((line for line in text.splitlines() if line.strip()), "")
    unquoted = "".join(line.split('"')[::2])
    ranked = sorted(DELIMITERS, key=unquoted.count, reverse=True)

    def leads(delimiter: str) -> bool:
        return knows(dict.fromkeys(map(normalised, next(csv.reader([line], delimiter=delimiter), []))))

    return next(filter(leads, ranked), ranked[0])


def _check_header(cells: list[str], header: list[str], matters: Callable[[str], bool]) -> None:
    """Raise FileRefused for a duplicate column name: it is not clear which of the columns counts."""
    # The column before this one is the invoice's company.
    invoice = header.index("invoice address name") - 1 if "invoice address name" in header else len(header)
    first: dict[str, int] = {}
    for column, name in enumerate(header):
        before = first.setdefault(name, column)
        of_invoice = name in INVOICE and before < invoice <= column
        if name and before < column and matters(name) and not of_invoice:
            raise FileRefused(
                f"The header names the column {cells[before].strip()!r} twice, as columns {before + 1} and"
                f" {column + 1}: rename or remove one of them."
            )


def _record(number: int, header: list[str], row: list[str], matters: Callable[[str], bool]) -> Record:
    beyond = any(cell.strip() for cell in row[len(header) :])
    # Spreadsheet programs omit empty cells at the end of a row (Excel does, sixteen rows at a time), and a
    # truncated file looks the same. Unused columns may be missing; but for a column that may hold a validity,
    # a block or a name, a missing cell is not read as an empty one.
    missing = any(name and matters(name) for name in header[len(row) :] if name not in header[: len(row)])
    if beyond or missing:
        return Record(number, {}, f"has {counted(len(row), 'cell')}, but the header has {len(header)}")
    fields: dict[str, str] = {}
    for column, (name, cell) in enumerate(zip(header, row, strict=False), 1):
        text = unquoted(cell).strip()
        if name:
            fields.setdefault(name, text)
        elif text and (nameless := f"column {column}") not in header:
            fields[nameless] = text
    return Record(number, fields)
