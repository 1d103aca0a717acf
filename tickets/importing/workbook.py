"""Reads the sheet with tickets in an Excel workbook (.xlsx), within bounds: unpacked, a small file may be
huge.

The size of all parts, unpacked, is checked before one is unpacked; `zipfile` reads no more of a part than
its entry announces. `workbook_parts` bounds each part that is opened. Rows and cells are counted as they
come, since a sheet may name its millionth row alone.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from typing import Any, NamedTuple

from tickets.importing.record import FileRefused, normalised

ZIP_MARK = b"PK\x03\x04"
OLD_EXCEL_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
UNPACKED_BYTES_MAX = 256 * 1024 * 1024
"""Most bytes of all parts together, unpacked: about a million tickets."""
PARTS_MAX = 1_000
ROWS_MAX = 1_048_576
"""Most rows of a sheet, as in Excel."""
CELLS_MAX = 20_000_000
SHEETS_MAX = 50
WHOLE_MAX = 2**53
"""Numbers of a workbook are exact up to this one."""

Row = tuple[int, list[str], str]
"""(number as Excel shows it, cells as text, why the row cannot be read: "" if it can)."""


class Sheet(NamedTuple):
    """The rows of one sheet that are not blank; they raise FileRefused beyond the bounds."""

    form: str
    rows: Iterator[Row]


def open_sheet(content: bytes, rank: Callable[[list[str]], tuple[int, ...]]) -> Sheet:
    """The first of the sheets whose columns, normalised, have the highest rank; raises FileRefused."""
    # Only here: openpyxl takes 0.2 s of every command otherwise.
    from tickets.importing.workbook_parts import load_workbook

    _check_size(content)
    try:
        book = load_workbook(content)
        sheets = [one for one in book.worksheets if hasattr(one, "iter_rows")]
        if len(sheets) > SHEETS_MAX:
            raise FileRefused(f"The workbook has {len(sheets)} sheets, more than {SHEETS_MAX}.")
        found = max(sheets, key=lambda one: rank(_columns(one)), default=None)
    except FileRefused:
        raise
    except Exception as error:
        raise _damaged(error) from error
    if found is None:
        raise FileRefused("The workbook has no sheet.")
    others = [one.title for one in sheets if one is not found]
    form = f"Excel workbook, sheet {found.title!r}"
    if others:
        form += f"; not read: {', '.join(map(repr, others[:5]))}{' and more' if len(others) > 5 else ''}"
    return Sheet(form, _rows(found))


def _check_size(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            parts = packed.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeDecodeError) as error:
        raise _damaged(error) from error
    if len(parts) > PARTS_MAX:
        raise FileRefused(f"The workbook has {len(parts):,} parts, more than {PARTS_MAX:,}.")
    unpacked = sum(part.file_size for part in parts)
    if unpacked > UNPACKED_BYTES_MAX:
        limit = UNPACKED_BYTES_MAX // 2**20
        raise FileRefused(f"The workbook unpacks to {unpacked // 2**20:,} MiB, more than {limit} MiB.")


def _columns(sheet: Any) -> list[str]:
    """The cells of the first row that is not blank."""
    return next(([normalised(cell) for cell in cells] for _, cells, _ in _rows(sheet)), [])


def _rows(sheet: Any) -> Iterator[Row]:
    sheet.reset_dimensions()  # some programs announce a smaller sheet than they write
    rows, cells, number = sheet.iter_rows(), 0, 0
    while True:
        try:
            row = next(rows, None)
        except Exception as error:
            raise _damaged(error) from error
        if row is None:
            return
        number += 1
        cells += len(row)
        if number > ROWS_MAX or cells > CELLS_MAX:
            raise FileRefused(f"The sheet is larger than {ROWS_MAX:,} rows or {CELLS_MAX:,} cells.")
        texts, problem = _texts(row)
        if problem or any(texts):
            yield number, texts, problem


def _texts(row: tuple[Any, ...]) -> tuple[list[str], str]:
    """The cells as text; an error such as #N/A is a problem of the row, unlike an empty cell."""
    texts = []
    for cell in row:
        if cell.value is None:
            texts.append("")
        elif cell.data_type == "e":
            return [], f"has the error {str(cell.value)[:20]} in a cell"
        else:
            texts.append(_text(cell).strip())
    while texts and not texts[-1]:
        texts.pop()
    return texts, ""


def _text(cell: Any) -> str:
    from openpyxl.styles.numbers import is_datetime

    match cell.value:
        case bool(value):
            return "yes" if value else "no"
        case float(value) if value.is_integer() and abs(value) < WHOLE_MAX:
            return str(int(value))
        case datetime() as value if is_datetime(cell.number_format) == "date" and value.time() == time.min:
            return value.date().isoformat()
        case datetime() | date() | time() as value:
            return value.isoformat()
        case value:
            return str(value)


def _damaged(error: Exception) -> FileRefused:
    """openpyxl raises anything for a damaged workbook: KeyError, TypeError, an error of its XML parser."""
    return FileRefused(f"The workbook cannot be read ({type(error).__name__}): save it again, or as CSV.")
