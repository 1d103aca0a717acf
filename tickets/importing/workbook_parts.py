"""Opens the parts of an Excel workbook within bounds.

A workbook names its own parts, so the bounds follow how openpyxl reads a part, never its name: it builds a
tree of what it takes with `read`, and streams what it takes with `open`, one row or shared text at a time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import IO, Any
from xml.parsers.expat import ParserCreate
from zipfile import ZipFile

from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.reader.excel import ExcelReader
from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser
from openpyxl.xml.constants import SHEET_MAIN_NS

from tickets.importing.record import FileRefused

TREE_BYTES_MAX = 512 * 1024
"""Most bytes of a part that is read as a tree (styles, names, relations): that takes a hundred times its
bytes."""
ROW_PARTS_MAX = 4_096
"""Most cells, values and pieces of text of one row, or of one shared text, each of which openpyxl builds as a
whole; 256 columns have at most 1,024."""
BUILT_WHOLE = {"row": "Row", "si": "Shared text"}
"""Elements that openpyxl builds as a whole -> their names in a sentence."""
BUILT_MAX = 4_000_000
"""Most rows, or shared texts, of one part: openpyxl keeps some 85 bytes of each."""
BESIDE_MAX = 100_000
"""Most other elements of one part: openpyxl keeps up to 1.2 kB of each."""
SCAN_BYTES = 64 * 1024


def load_workbook(content: bytes) -> Any:
    """openpyxl's workbook of a file, its sheets not yet read. Raises FileRefused beyond the bounds, here and
    while rows are read; else what openpyxl raises for a damaged workbook."""
    reader = _Reader(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    reader.archive = _Parts(io.BytesIO(content))
    try:
        reader.read()
    except ValueError as error:  # openpyxl adds a text to each
        if isinstance(error.__cause__, FileRefused):
            raise error.__cause__ from None
        raise
    return reader.wb


def rows_of_sheet(sheet: Any) -> Iterator[tuple[int, list[ReadOnlyCell], bool]]:
    """(number, cells that are in the file, whether it is hidden) of each row in the file."""
    book = sheet.parent
    with sheet._get_source() as source:
        parser = _SheetParser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for number, cells, hidden in parser.parse():
            yield number, [ReadOnlyCell(sheet, **cell) for cell in cells], hidden


class _SheetParser(WorkSheetParser):
    """openpyxl's, which of rows tells hidden ones, and of cells those whose formula has no value."""

    def parse_row(self, row: Any) -> tuple[int, list[dict[str, Any]], bool]:
        number, cells = super().parse_row(row)
        self.row_dimensions.clear()
        return number, cells, row.get("hidden", "0") not in ("0", "false")

    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        # A formula whose value is the empty text has a value of type "str".
        empty = element.get("t") == "str" and element.find(VALUE_TAG) is not None
        if cell["value"] is None and element.find(FORMULA_TAG) is not None and not empty:
            cell["data_type"] = "f"
        return cell


class _Reader(ExcelReader):
    def read_strings(self) -> None:
        """Read the shared texts, which openpyxl releases one by one, as it does the rows of a sheet."""
        self.archive.whole = "si"
        super().read_strings()
        self.archive.whole = "row"

    def read_chartsheet(self, sheet: Any, rel: Any) -> None:
        """Leave out charts: openpyxl would build a tree of a part that it opens, and its pictures."""


class _Parts(ZipFile):
    def __init__(self, content: io.BytesIO) -> None:
        super().__init__(content)
        self.whole = "row"
        """The element that openpyxl builds as a whole, and releases, in parts that are opened now."""
        self._scanned: set[tuple[str, str]] = set()

    def read(self, name: Any, pwd: bytes | None = None) -> bytes:
        """Return a part from which a tree is built; raises FileRefused if it is too large for that."""
        part = self.getinfo(name)
        if part.file_size > TREE_BYTES_MAX:
            limit = TREE_BYTES_MAX // 1024
            raise FileRefused(f"Part {part.filename} of the workbook unpacks to more than {limit} KiB.")
        with super().open(part) as source:
            return source.read()

    def open(self, name: Any, *options: Any, **further: Any) -> IO[bytes]:
        """Open a part for streaming; raises FileRefused for elements that take too much memory."""
        if (self.whole, name) not in self._scanned:
            with super().open(name) as source:
                _scan(source, self.whole)
            self._scanned.add((self.whole, name))
        return super().open(name, *options, **further)


def _scan(source: IO[bytes], whole: str) -> None:
    depth, parts, built, beside, number = 0, 0, 0, 0, ""

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal depth, parts, built, beside, number
        if depth:
            depth, parts = depth + 1, parts + 1
            if parts > ROW_PARTS_MAX:
                raise FileRefused(
                    f"{BUILT_WHOLE[whole]} {number} of the workbook has more than {ROW_PARTS_MAX:,} cells,"
                    " values and pieces of text."
                )
            return
        if name == f"{SHEET_MAIN_NS} {whole}":
            depth, parts, built = 1, 0, built + 1
            number = attributes.get("r", str(built))[:12]
        else:
            beside += 1
        if built > BUILT_MAX or beside > BESIDE_MAX:
            raise FileRefused(
                f"A part of the workbook has more than {BUILT_MAX:,} rows, or {BESIDE_MAX:,} other elements."
                " Save it as CSV."
            )

    def end(_name: str) -> None:
        nonlocal depth
        depth -= bool(depth)

    def between(*_: str) -> None:
        start("", {})
        end("")

    parser = ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CommentHandler = parser.ProcessingInstructionHandler = between
    while chunk := source.read(SCAN_BYTES):
        parser.Parse(chunk)
    parser.Parse(b"", True)
