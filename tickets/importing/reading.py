"""Reads a CSV, XLSX or JSON file into records: numbered rows of named texts.

A row whose cells do not fit the header becomes a record with a problem. Rows that are no tickets by the file
itself are left out: hidden ones, a header that is repeated, a total.
A record's number is the one that a spreadsheet shows: the header is row 1, the first ticket row 2; in JSON
the first item is 1.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from dtvn.wording import counted
from tickets.formulas import unquoted
from tickets.importing import workbook
from tickets.importing.csvtext import DELIMITERS, SAMPLE, WESTERN, Csv, check_western, decoded
from tickets.importing.header import HEAD_ROWS, Header, Knows, Matters, Row, check_header, find_header
from tickets.importing.record import (
    AN_ERROR,
    APOSTROPHE,
    ENTITIES,
    EXPONENT_ONLY,
    UNQUOTED,
    FileRefused,
    Record,
)
from tickets.importing.shapes import events_of_json, records_of_json

CELL_CHARACTERS_MAX = 1_000_000
"""A longer cell is taken for an unclosed quotation mark."""
WRONG_MAX = 10_000
"""Rows that cannot be read, from which on the whole file is refused: each is kept, and told."""
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
"""Characters that no text has."""
JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
DAMAGE = {
    re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE][+-][0-9]{2,}"): EXPONENT_ONLY,
    re.compile(
        r"#(?:N/?[AV]|REF!|BEZUG!|VALUE!|WERT!|VALEUR!|NAME\?|DIV/0!|NULL!|NUM!|ZAHL!|#{2,})"
    ): AN_ERROR,
}
"""Texts that a spreadsheet writes where it had no room, or no value."""
RISKS = {
    re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]+"): "a spreadsheet would take it for a number",
    re.compile(r"[0-9]+\.0"): "it may be a whole number to which a program added the fraction",
    re.compile(r"[1-9][0-9]{14}0+"): "its digits after the 15th are 0, as where a spreadsheet has lost them",
}
ENTITY = re.compile(r"&(?:[a-z]{2,8}[0-9]?|#[0-9]{2,6}|#x[0-9a-f]{2,5});", re.IGNORECASE)
"""What a program writes that escapes a text for a web page, and then for a file."""
REPEATED = "repeats the header"
"""Why such a row is left out."""
TOTAL = re.compile(
    r"(?:(?:grand|sub) ?)?(?:totals?(?: g[ée]n[ée]ral)?|totale|totaal|summe|gesamt(?:summe|ergebnis)?"
    r"|ergebnis)(?: *[:=] *[0-9.,]*)?",
    re.IGNORECASE,
)
"""What spreadsheets call a total; "Sum" is a surname."""
NUMBER = re.compile(r"\W*[0-9][\W0-9]*(?:[A-Z]{3})?")
"""A number, or a price."""


class Records(NamedTuple):
    """A file's rows, read as they are asked for."""

    form: str
    """The recognised format, such as "CSV, Windows-1252, separated by semicolon"."""
    rows: Iterator[Record]
    """Raises FileRefused."""
    headers: dict[str, str] = {}
    """Normalised column name -> the name as it is in the file; empty for JSON."""
    notes: list[str] = []
    """Sentences about the file as a whole."""
    sheets: list[str] = []
    """Sheets of a workbook that could be meant, since their columns identify tickets."""
    events: list[dict[str, Any]] = []
    """What our own export says of its events."""


def open_records(
    path: Path,
    *,
    matters: Matters,
    knows: Knows = lambda names: False,
    sheet: str = "",
    hidden: bool = False,
) -> Records:
    """All records of a file; blank rows are skipped. Raises FileRefused. `matters`: whether a column, by its
    normalised name, is used: every row of CSV needs a cell for each of these, and their names must be
    unique. `knows`: whether columns identify tickets, which decides about header, delimiter and sheet.
    `sheet`: the sheet of a workbook to read; `hidden`: whether its hidden rows are read like others."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileRefused(f"{path.name} cannot be read: {error.strerror}.") from error
    if content.startswith(workbook.ZIP_MARK):
        return _records_of_workbook(content, matters, knows, sheet, hidden)
    if content.startswith(workbook.OLD_EXCEL_MARK):
        raise FileRefused(f"{path.name} is a workbook of an old Excel, or encrypted: save it as .xlsx.")
    text, encoding = decoded(content)
    start = text.lstrip()[:1]
    if not start:
        raise FileRefused(f"{path.name} is empty.")
    if start in "[{" or path.suffix.lower() in JSON_SUFFIXES:
        rows = _checked(records_of_json(text, matters))
        return Records(f"JSON, {encoding}", rows, events=events_of_json(text))
    if _is_binary(text):
        raise FileRefused(f"{path.name} is no CSV, XLSX or JSON file: it contains binary data.")
    if encoding == WESTERN:
        check_western(content)
    return records_of_csv(text, matters, knows, encoding)


def records_of_csv(
    text: str, matters: Matters, knows: Knows = lambda names: False, encoding: str = "UTF-8"
) -> Records:
    """All records of a CSV text: see `open_records`."""
    csv = Csv(text)
    delimiter = csv.delimiter(knows, matters)
    form = f"CSV, {encoding}, separated by {DELIMITERS.get(delimiter, repr(delimiter))}"
    return _records(form, csv.rows(delimiter), matters, knows, hidden=True)


def _records_of_workbook(content: bytes, matters: Matters, knows: Knows, named: str, hidden: bool) -> Records:
    def rank(head: list[Row]) -> tuple[bool, int]:
        header = find_header(head, knows, matters)
        return (header.fits, sum(map(matters, header.names))) if header else (False, 0)

    sheet = workbook.open_sheet(content, rank, named)
    records = _records(sheet.form, sheet.rows, matters, knows, hidden)
    return records._replace(sheets=sheet.fitting)


def _is_binary(text: str) -> bool:
    """Whether a text cannot be CSV: control characters in its header, or in a twentieth of its beginning. A
    few elsewhere make wrong rows."""
    beginning = text.lstrip()[:SAMPLE]
    controls = len(CONTROLS.findall(beginning))
    header = beginning.splitlines()[0]
    return bool(CONTROLS.search(header)) or controls > max(3, len(beginning) // 20)


def _records(form: str, rows: Iterator[Row], matters: Matters, knows: Knows, hidden: bool) -> Records:
    """Records of a table with a header."""
    head = list(islice(rows, HEAD_ROWS))
    if not head:
        return Records(form, iter(()))
    header = find_header(head, knows, matters)
    if header is None:
        said = ", ".join(cell.strip()[:40] for cell in head[0].cells[:4] if cell.strip())
        raise FileRefused(
            f"The file has no header: its first row ({said}) is data already. Write the names of the columns"
            " above it."
        )
    check_header(header, matters)
    notes = []
    if header.above:
        said = ", ".join(repr(cell[:40]) for cell in header.above[:3])
        notes.append(f"The header is row {header.row}; above it is {said}, which is not read.")
    below = chain(head[header.at + 1 :], rows)
    table = _Table(header, matters, hidden)
    return Records(form, _checked(map(table.record, below)), header.shown, notes)


class _Table:
    """How rows below a header become records."""

    def __init__(self, header: Header, matters: Matters, hidden: bool) -> None:
        self._names, self._unique = header.names, header.unique_names
        self._repeated = [cell.strip() for cell in header.cells if cell.strip()]
        self._matters, self._hidden = matters, hidden

    def record(self, row: Row) -> Record:
        width = len(self._names)
        if row.problem:
            return Record(row.number, {}, row.problem)
        if reason := self._left_out(row):
            return Record(row.number, {}, left_out=reason)
        if any(cell.strip() for cell in row.cells[width:]) or self._ends_early(row):
            cells = counted(len(row.cells), "cell")
            return Record(row.number, {}, f"has {cells}, but the header has {width}")
        record = Record(row.number, {})
        padded = row.cells if row.torn is not None else row.cells + [""] * (width - len(row.cells))
        for at, (name, cell) in enumerate(zip(self._unique, padded, strict=False)):
            plain = unquoted(cell)
            text = plain.strip()
            if "&" in text and ENTITY.search(text):
                text = html.unescape(text)
                record.notes[name] = ENTITIES
            if not text and not self._names[at] and at not in row.damaged:
                continue
            record.fields[name] = text
            if plain != cell:
                record.notes.setdefault(name, UNQUOTED)
            elif text.startswith("'"):
                record.notes[name] = APOSTROPHE
        record.damaged.update((self._unique[at], kind) for at, kind in row.damaged.items() if at < width)
        record.notes.update((self._unique[at], note) for at, note in row.notes.items() if at < width)
        return record

    def _left_out(self, row: Row) -> str:
        """Why the file itself says that a row is no ticket, "" if it does not."""
        if row.hidden and not self._hidden:
            return "is hidden in the sheet, by hand or by a filter"
        filled = [text for cell in row.cells if (text := cell.strip())]
        if filled == self._repeated:
            return REPEATED
        if len(self._names) > 1 and filled and TOTAL.fullmatch(filled[0]):
            return "is a total" if all(map(NUMBER.fullmatch, filled[1:])) else ""
        return ""

    def _ends_early(self, row: Row) -> bool:
        """Whether the row lacks a cell that is used. Spreadsheet programs omit empty cells at the end of a
        row (Excel does, sixteen rows at a time), and a truncated file looks the same: for a column that may
        hold a validity, a block or a name, a missing cell is not read as an empty one."""
        present, missing = set(self._names[: len(row.cells)]), self._names[len(row.cells) :]
        if row.torn is None or not missing:
            return False
        return any(name and (row.torn or self._matters(name)) for name in missing if name not in present)


def _checked(records: Iterable[Record]) -> Iterator[Record]:
    """The records, each checked. Raises FileRefused after WRONG_MAX wrong ones."""
    wrong = 0
    for record in map(_checked_one, records):
        wrong += bool(record.problem)
        if wrong > WRONG_MAX:
            raise FileRefused(
                f"More than {WRONG_MAX:,} rows cannot be read. Row {record.number:,} {record.problem}."
            )
        yield record


def _checked_one(record: Record) -> Record:
    """The record, if it can be stored, with what its texts say of their damage."""
    if problem := record.problem or next(filter(None, map(_unkeepable, record.fields.values())), ""):
        return Record(record.number, {}, problem)
    for name, text in record.fields.items():
        if text and text[0] in "+-#0123456789":
            for form, kind in DAMAGE.items():
                if form.fullmatch(text):
                    record.damaged.setdefault(name, kind.format(text[:20]))
            for form, note in RISKS.items():
                if form.fullmatch(text) and name not in record.damaged:
                    record.notes.setdefault(name, note)
    return record


def _unkeepable(cell: str) -> str:
    """Why no database can store such a cell, "" if it can."""
    if len(cell) > CELL_CHARACTERS_MAX:
        return f"has a cell of {len(cell):,} characters"
    if "\x00" in cell:
        return "contains a NUL character"
    if not cell.isascii() and any("\ud800" <= character <= "\udfff" for character in cell):
        return "contains half of a surrogate pair"
    return ""
