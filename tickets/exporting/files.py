"""Rows as a file, in chunks of bytes: what is written of a million tickets is never in memory at once."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Generator
from typing import Any

from tickets.exporting.tables import Cell, Row, Table
from tickets.formulas import quoted

SHEET_ROWS_MAX = 1_000_000
"""Rows of a sheet, after which the next one begins; Excel shows 1,048,576."""
SHEET_CELL_MAX = 32_767
"""Characters of a cell of a sheet."""
CHUNK_BYTES = 64 * 1024


def defused(cell: Cell) -> str | int:
    """The cell, a text made harmless in a spreadsheet (`formulas.quoted`); numbers stay numbers, and codes
    become a JSON list of visible characters, which no reader alters."""
    if isinstance(cell, list):
        return json.dumps(cell) if cell else ""
    return quoted(cell) if isinstance(cell, str) else cell


def write_chunks(table: Table, form: str) -> Generator[bytes]:
    """Yields the table as a file in this form (a key of FORMS); b"" after a page that gives no bytes yet."""
    return FORMS[form][1](table)


def _csv(table: Table) -> Generator[bytes]:
    yield "\N{ZERO WIDTH NO-BREAK SPACE}".encode()  # Excel takes a file without it for Windows-1252
    yield _csv_rows([list(table.columns)])
    for page in table.pages:
        yield _csv_rows([[defused(cell) for cell in row] for row in page])


def _csv_rows(rows: list[Row]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _json(table: Table) -> Generator[bytes]:
    head: dict[str, Any] = {"kind": table.kind, "event": table.event, "sequence": table.sequence}
    if table.events:
        head["events"] = table.events
    yield json.dumps(head).removesuffix("}").encode() + b', "rows": ['
    before = "\n"
    for page in table.pages:
        lines = []
        for row in page:
            named = dict(zip(table.columns, row, strict=True))
            lines.append(before + json.dumps(named, ensure_ascii=False))
            before = ",\n"
        yield "".join(lines).encode("utf-8", "replace")
    yield b"\n]}\n"


def _xlsx(table: Table) -> Generator[bytes]:
    """Yields an Excel workbook. Rows go to openpyxl's temporary files first, since the archive's directory is
    written last."""
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    def shown(cell: Cell) -> Any:
        safe = defused(cell)
        if isinstance(safe, int):
            return safe
        if len(safe) > SHEET_CELL_MAX:  # a part of it would pass for the whole
            return f"(too long for a sheet: {len(safe):,} characters; export CSV or JSON)"
        return ILLEGAL_CHARACTERS_RE.sub("?", safe)

    book = Workbook(write_only=True)
    sheet, rows, saved = _sheet(book, table), 0, False
    try:
        for page in table.pages:
            for row in page:
                if rows and rows % SHEET_ROWS_MAX == 0:
                    sheet = _sheet(book, table)
                sheet.append([shown(cell) for cell in row])
                rows += 1
            yield b""
        with tempfile.TemporaryFile() as file:
            book.save(file)
            saved = True
            file.seek(0)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    finally:
        if not saved:  # the reader has gone: openpyxl deletes its files when it saves, or at exit
            for sheet in book.worksheets:
                sheet.close()
                sheet._writer.cleanup()


def _sheet(book: Any, table: Table) -> Any:
    sheet = book.create_sheet(f"{table.kind} {len(book.worksheets) + 1}")
    sheet.freeze_panes = "A2"
    sheet.append(list(table.columns))
    return sheet


FORMS: dict[str, tuple[str, Callable[[Table], Generator[bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _xlsx),
    "json": ("application/json", _json),
}
"""Suffix of a file -> its media type, and the function that writes it."""
