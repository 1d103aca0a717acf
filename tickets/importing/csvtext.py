"""Decodes a text file, and splits CSV into rows.

Encoding: a byte order mark decides; else UTF-8, else Windows-1252, which spreadsheet programs write. Refused
are a text that is neither, since no library tells the encodings of short texts apart; one that is UTF-8
except for some bytes, at most as many as its characters of several bytes; and UTF-16 without a mark.
Delimiter: the one in Excel's first line "sep=;", else the one of comma, semicolon, tab and bar that makes the
best header. A row that is not valid CSV has a problem, and so has each row that an unclosed quotation mark
swallows. Reading continues after it.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from tickets.importing.header import (
    CELLS_MAX,
    COLUMNS_MAX,
    HEAD_ROWS,
    ROWS_MAX,
    TOO_LARGE,
    Knows,
    Matters,
    Row,
    find_header,
)
from tickets.importing.record import FileRefused

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
WESTERN = "Windows-1252"
ENCODING_NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16"}
CSV_LIMIT = 2**31 - 1
"""Cell size limit of the csv module: high enough that it finds the end of a row however long its cells
are."""
SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
"""A line for Excel only, which does not show it as a row."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NO_NAME = re.compile(r"://|=|&#?\w+$")
"""What stands in no name of a column."""
LINES_MAX = 4 * ROWS_MAX
"""Most lines of a text: a cell may have several, and rows may be blank."""
SAMPLE = 4_096
SELDOM = bytes({*range(0x81, 0xA0)} - {0x85, *range(0x91, 0x98)})
"""Bytes that Western texts seldom use: quotation marks and dashes are not among them."""
SELDOM_LEAST = 4
UNUSED = b"\x81\x8d\x8f\x90\x9d"
"""Bytes that stand for nothing in Windows-1252."""
NOT_WESTERN = (
    "The text of the file is neither UTF-8 nor Windows-1252, so its names and values cannot be read right: "
    'open it in a text editor in its own encoding, and save it as UTF-8 ("CSV UTF-8").'
)


def decoded(content: bytes) -> tuple[str, str]:
    """The file's text, decoded by its byte order mark, as UTF-8, or as Windows-1252; and which it was. Raises
    FileRefused."""
    marked = next((encoding for mark, encoding in MARKS if content.startswith(mark)), "")
    if not marked and _is_utf_16(content):
        raise FileRefused(
            'The file seems to be UTF-16 without the mark at its beginning: save it as UTF-8 ("CSV UTF-8").'
        )
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
        return content.decode("cp1252", errors="replace"), WESTERN


def check_western(content: bytes) -> None:
    """Raise FileRefused for a text that is not Windows-1252, in which letters are seldom between 0x81 and
    0x9F: half of the bytes of Japanese texts and the like are."""
    other = content.translate(None, bytes(range(0x80)))
    rare = len(other) - len(other.translate(None, SELDOM))
    if rare > len(other) // 4 + SELDOM_LEAST or any(byte in other for byte in UNUSED):
        raise FileRefused(NOT_WESTERN)


def _is_utf_16(content: bytes) -> bool:
    """Whether every second byte is 0 so often as in a text of UTF-16, which has the digits and delimiters."""
    even, odd = (content[at:SAMPLE:2].count(0) for at in (0, 1))
    return max(even, odd) > max(1, len(content[:SAMPLE]) // 8) and min(even, odd) * 8 < max(even, odd)


def _width(cells: Sequence[str]) -> int:
    """Number of cells without the empty ones at the end."""
    return max((at for at, cell in enumerate(cells, 1) if cell.strip()), default=0)


class Csv:
    """A CSV text; csv.reader's lines are split once, since its rows are read several times."""

    def __init__(self, text: str) -> None:
        csv.field_size_limit(CSV_LIMIT)
        named = SEPARATOR_LINE.match(text)
        self.named = named[1] if named else ""
        """The delimiter in a first line "sep=;", "" without one."""
        lines = io.StringIO(text[named.end() :] if named else text, newline="")
        self._lines = list(islice(lines, LINES_MAX + 1))
        if len(self._lines) > LINES_MAX:
            raise FileRefused(f"The file has more than {LINES_MAX:,} lines: split it.")

    def delimiter(self, knows: Knows, matters: Matters) -> str:
        """The delimiter that the text names, else the one with the best header: its columns identify tickets,
        their names look like names, most rows have as many cells, and there are many of them."""

        def rank(delimiter: str) -> tuple[bool, bool, int, int, int]:
            head = list(islice(self.rows(delimiter), HEAD_ROWS))
            if not head or head[0].problem:
                unquoted = "".join(self._lines[0].split('"')[::2]) if head else ""
                return False, False, 1 + unquoted.count(delimiter), 0, -HEAD_ROWS
            header = find_header(head, knows, matters)
            fits, cells = (header.fits, header.cells) if header else (False, head[0].cells)
            wider = sum(len(row.cells) > len(cells) for row in head)
            width = _width(cells)
            even = 2 * sum(_width(row.cells) == width for row in head) > len(head)
            named = width > 1 and even and not any(map(NO_NAME.search, cells))
            return fits, named, len(cells if fits else head[0].cells), len(cells), -wider

        return self.named or max(DELIMITERS, key=rank)

    def rows(self, delimiter: str) -> Iterator[Row]:
        """The rows that are not blank."""
        lines = self._lines
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        number = size = 0
        while True:
            number, begun = number + 1, rows.line_num
            if number > ROWS_MAX + 1 or size > CELLS_MAX:
                raise FileRefused(f"The file {TOO_LARGE}")
            try:
                row = next(rows, None)
            except csv.Error as error:
                yield Row(number, [], f"cannot be read as CSV: {error}")
                swallowed = lines[begun + 1 : rows.line_num]
                for further, line in enumerate(swallowed, number + 1):
                    if line.strip():
                        yield Row(further, [], f"is inside a quoted cell that begins in row {number}")
                number += len(swallowed)
                continue
            if row is None:
                return
            size += len(row)
            if len(row) > COLUMNS_MAX:
                yield Row(number, [], f"has {len(row):,} cells, more than {COLUMNS_MAX:,}")
            elif any(cell.strip() for cell in row):
                torn = rows.line_num == len(lines) and not lines[-1].endswith(("\r", "\n"))
                yield Row(number, row, torn=torn)
