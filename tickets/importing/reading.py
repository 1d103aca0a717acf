"""Read a CSV or JSON file into records: numbered rows of named texts.

Encoding: a byte order mark decides; else UTF-8, else Windows-1252, which is what spreadsheet
programs write. Delimiter: the one of comma, semicolon, tab and bar that the header row has most of.
A record's number is what a spreadsheet shows: the header is row 1, the first ticket row 2; in JSON
the first item is 1.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from tickets.importing.pretix import records_of_json
from tickets.importing.record import FileRefused, Record, normalised

__all__ = ["read_records"]

DELIMITERS = ",;\t|"
CELL_CHARACTERS_MAX = 1_000_000
"""A longer cell means an unclosed quotation mark, not a ticket."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FORMULA_STARTS = "=+-@|%"
"""pretix puts an apostrophe before cells that begin so, to keep spreadsheets from running them."""


def read_records(path: Path) -> Iterator[Record]:
    """All records of a file; blank rows are passed over. Raises FileRefused."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileRefused(f"{path} cannot be read: {error.strerror}.") from error
    if content.startswith(b"PK\x03\x04"):
        raise FileRefused(f"{path} is an Excel workbook: export it as CSV, then import that.")
    text = decoded(content)
    start = text.lstrip()[:1]
    if not start:
        raise FileRefused(f"{path} is empty.")
    found = records_of_json(text) if start in "[{" else records_of_csv(text)
    for record in found:
        if any("\x00" in value for value in record.fields.values()):
            record = Record(record.number, {}, "holds a NUL character")
        yield record


def decoded(content: bytes) -> str:
    """The file's text by its byte order mark, as UTF-8, or as Windows-1252."""
    for mark, encoding in MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise FileRefused(f"The file begins as {encoding} and does not go on so: {error}.") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def records_of_csv(text: str) -> Iterator[Record]:
    """Records of a CSV text with a header row."""
    csv.field_size_limit(CELL_CHARACTERS_MAX)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
    header: list[str] | None = None
    number = 0
    try:
        for row in rows:
            number += 1
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = [normalised(cell) for cell in row]
                continue
            yield _record(number, header, row)
    except csv.Error as error:
        raise FileRefused(f"Row {number + 1} cannot be read as CSV: {error}.") from error


def delimiter_of(text: str) -> str:
    """The delimiter that stands most often outside quotation marks in the first line with content."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    unquoted = "".join(line.split('"')[::2])
    return max(DELIMITERS, key=lambda candidate: (unquoted.count(candidate), -DELIMITERS.index(candidate)))


def _record(number: int, header: list[str], row: list[str]) -> Record:
    if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
        return Record(number, {}, f"has {len(row)} cells, but the header has {len(header)}")
    fields: dict[str, str] = {}
    for name, cell in zip(header, row, strict=False):
        if name:
            fields.setdefault(name, _cell(cell))
    return Record(number, fields)


def _cell(cell: str) -> str:
    cell = cell.strip()
    if cell[:1] == "'" and cell[1:2] and cell[1] in FORMULA_STARTS:
        return cell[1:].replace("\\|", "|")
    return cell
