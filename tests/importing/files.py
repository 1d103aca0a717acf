"""Files as programs write them, and how they are read: barcode is the code, the other columns are told."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from openpyxl import Workbook

from tickets.importing.reading import Records, open_records
from tickets.importing.record import Record

CASES = Path(__file__).parent / "cases"
CODES = ("barcode", "ticket code", "ticket number", "id")
USED = frozenset({*CODES, "name", "valid from", "valid until", "status"})


def knows(names: Mapping[str, object]) -> bool:
    return any(name in names for name in CODES)


def opened(path: Path, **options: Any) -> Records:
    return open_records(path, **{"matters": USED.__contains__, "knows": knows, **options})


def read(path: Path, content: bytes | str, **options: Any) -> list[Record]:
    """The records of a file with this content."""
    path = path / "tickets"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(opened(path, **options).rows)


def case(name: str, **options: Any) -> tuple[Records, list[Record]]:
    """The file of `cases` whose name begins so, and its records."""
    (path,) = CASES.glob(f"{name}-*")
    found = opened(path, **options)
    return found, list(found.rows)


def saved(
    sheets: Mapping[str, list[list[Any]]], change: Callable[[Workbook], None] = lambda book: None
) -> bytes:
    """A workbook with these sheets; `change` sets formats, and hides."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
