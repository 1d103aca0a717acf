"""Reads the sheet with tickets in an Excel workbook (.xlsx), within bounds: unpacked, a small file may be
huge.

The size of all parts, unpacked, is checked before one is unpacked; `zipfile` reads no more of a part than
its entry announces. `workbook_parts` bounds each part that is opened. Rows and cells are counted as they
come, since a sheet may name its millionth row alone.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import MAXYEAR, datetime, time, timedelta
from itertools import islice
from typing import Any, NamedTuple

from tickets.importing.header import CELLS_MAX, HEAD_ROWS, ROWS_MAX, TOO_LARGE, Row
from tickets.importing.record import A_DATE, A_FRACTION, A_TRUTH, AN_ERROR, DIGITS_LOST, FileRefused

ZIP_MARK = b"PK\x03\x04"
OLD_EXCEL_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
UNPACKED_BYTES_MAX = 256 * 1024 * 1024
"""Most bytes of all parts together, unpacked: about a million tickets."""
PARTS_MAX = 1_000
SHEETS_MAX = 50
EXACT_MAX = 10**15
"""Excel keeps 15 digits of a number."""
LITERALS = re.compile(r'"[^"]*"|[\\_*].|\[[^]]*\]')
"""What a number format shows beside the number, and its colours."""


class Sheet(NamedTuple):
    """One sheet of a workbook. Its rows that are not blank raise FileRefused beyond the bounds."""

    form: str
    rows: Iterator[Row]
    fitting: list[str]
    """The sheets that could be meant: those that people see, if one of them fits."""


def open_sheet(content: bytes, rank: Callable[[list[Row]], tuple[bool, int]], named: str = "") -> Sheet:
    """The sheet of this name; else, of those whose first rows fit, the first of the highest rank: (whether it
    fits, how well). Raises FileRefused."""
    # Only here: openpyxl takes 0.2 s of every command otherwise.
    from tickets.importing.workbook_parts import load_workbook

    _check_size(content)
    try:
        book = load_workbook(content)
        sheets = [one for one in book.worksheets if hasattr(one, "iter_rows")]
        if len(sheets) > SHEETS_MAX:
            raise FileRefused(f"The workbook has {len(sheets)} sheets, more than {SHEETS_MAX}.")
        ranks = {one: rank(list(islice(_rows(one), HEAD_ROWS))) for one in sheets}
    except (FileRefused, MemoryError):
        raise
    except Exception as error:
        raise _damaged(error) from error
    if not sheets:
        raise FileRefused("The workbook has no sheet.")
    fitting = [one for one in sheets if ranks[one][0]]
    fitting = [one for one in fitting if one.sheet_state == "visible"] or fitting
    found = max(fitting or sheets, key=ranks.__getitem__)
    if named:
        found = next((one for one in sheets if one.title.strip() == named.strip()), None)
        if found is None:
            listed = ", ".join(repr(one.title) for one in sheets)
            raise FileRefused(f"The workbook has no sheet {named!r}. Its sheets are {listed}.")
    others = [one.title for one in sheets if one is not found]
    form = f"Excel workbook, sheet {found.title!r}"
    if found.sheet_state != "visible":
        form += " (hidden)"
    if others:
        form += f"; not read: {', '.join(map(repr, others[:5]))}{' and more' if len(others) > 5 else ''}"
    return Sheet(form, _rows(found), [one.title for one in fitting])


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


def _rows(sheet: Any) -> Iterator[Row]:
    from tickets.importing.workbook_parts import rows_of_sheet

    rows, size = rows_of_sheet(sheet), 0
    while True:
        try:
            found = next(rows, None)
        except (FileRefused, MemoryError):
            raise
        except Exception as error:
            raise _damaged(error) from error
        if found is None:
            return
        number, cells, hidden = found
        width = max((cell.column for cell in cells), default=0)
        size += width
        if not 0 < number <= ROWS_MAX or size > CELLS_MAX:
            raise FileRefused(f"The sheet {TOO_LARGE}")
        texts, damaged, notes = [""] * width, {}, {}
        for cell in cells:
            at = cell.column - 1
            texts[at], kind, note = _text(cell)
            if kind:
                damaged[at] = kind
            if note:
                notes[at] = note
        if any(texts) or damaged:
            yield Row(number, texts, "", hidden, damaged=damaged, notes=notes)


def _text(cell: Any) -> tuple[str, str, str]:
    """A cell's text, why it is not the text that was meant, and what is worth saying of it (see `Record`)."""
    match cell.value:
        case None:
            return "", "a formula without a value" if cell.data_type == "f" else "", ""
        case str(value):
            return value.strip(), AN_ERROR.format(value[:20]) if cell.data_type == "e" else "", ""
        case bool(value):
            return str(value).lower(), A_TRUTH, ""
        case float(value) if not value.is_integer():
            return str(value), A_FRACTION, ""
        case int() | float() as value if abs(value) >= EXACT_MAX:
            return str(value), DIGITS_LOST, ""
        case int() | float() as value:
            return _whole(int(value), cell.number_format)
        case datetime() as value:
            return _moment(value, cell.number_format)
        case value:
            return str(value).strip(), A_DATE, ""


def _whole(value: int, form: str) -> tuple[str, str, str]:
    """A whole number, with leading zeros if its format shows them; what else a format shows is left off."""
    text, digits = str(value), LITERALS.sub("", form.split(";")[0])
    zeros = 0 if value < 0 or set(digits) & set("Ee%/?") else digits.split(".")[0].count("0")
    shown = text.zfill(zeros)
    return shown, "", "" if shown == text else f"its format shows the number {text} with leading zeros"


def _moment(value: datetime, form: str) -> tuple[str, str, str]:
    """A date, or a time to the second: the format tells which of them midnight is."""
    from openpyxl.styles.numbers import is_datetime

    if value.microsecond and value.year < MAXYEAR:
        value = (value + timedelta(milliseconds=500)).replace(microsecond=0)
    if is_datetime(LITERALS.sub("", form).lower()) != "date":
        return str(value), A_DATE, ""
    if value.time() == time.min:
        return str(value.date()), A_DATE, ""
    return str(value), A_DATE, f"its format does not show the time {value.time()}"


def _damaged(error: Exception) -> FileRefused:
    """openpyxl raises anything for a damaged workbook: KeyError, TypeError, an error of its XML parser."""
    return FileRefused(f"The workbook cannot be read ({type(error).__name__}): save it again, or as CSV.")
