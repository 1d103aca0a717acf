"""What is told at each limit of an import: exactly at it, and one beyond. The limits are small here."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.golden import Compare
from tests.importing.files import saved
from tests.importing.planning import plan
from tests.importing.test_golden_files import told_plan
from tickets.importing import FileRefused, reading, workbook, workbook_parts
from tickets.importing import plan as planning

GOLDEN = Path(__file__).parent / "golden"
GUESTS = [["barcode", "seat"], ["C1", "A1"], ["C2", "A2"], ["C3", "A3"]]


def sheets() -> bytes:
    """A workbook of two sheets."""
    return saved({"Guests": GUESTS, "Notes": [["x"]]})


def unpacked(content: bytes) -> int:
    """Bytes of all parts of a workbook."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return sum(part.file_size for part in packed.infolist())


def parts(content: bytes) -> int:
    """Number of parts of a workbook."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return len(packed.infolist())


def largest_tree(content: bytes) -> int:
    """Bytes of the largest part but sheets and shared texts."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        known = packed.infolist()
    trees = [one for one in known if "/worksheets/sheet" not in one.filename and "shared" not in one.filename]
    return max(one.file_size for one in trees)


def csv() -> bytes:
    """A list with cells of one to three characters, and codes in many rows."""
    rows = "".join(f"=,{number},A1\n" if number == 3 else f"C-{number},x,A1\n" for number in range(9))
    return f"barcode,note,seat\n{rows}c-1,xxx,A1\n".encode()


LIMITS: list[tuple[ModuleType, str, Callable[[], bytes], Callable[[bytes], int]]] = [
    (workbook, "UNPACKED_BYTES_MAX", sheets, unpacked),
    (workbook, "PARTS_MAX", sheets, parts),
    (workbook, "SHEETS_MAX", sheets, lambda _: 2),
    (workbook, "ROWS_MAX", sheets, lambda _: 4),
    (workbook, "CELLS_MAX", sheets, lambda _: 8),
    (workbook_parts, "TREE_BYTES_MAX", sheets, largest_tree),
    (workbook_parts, "ROW_PARTS_MAX", sheets, lambda _: 6),
    (workbook_parts, "BUILT_MAX", sheets, lambda _: 4),
    (workbook_parts, "BESIDE_MAX", sheets, lambda _: 11),
    (reading, "CELL_CHARACTERS_MAX", csv, lambda _: 3),
    (planning, "SHOWN", csv, lambda _: 10),
    (planning, "SAMPLES", csv, lambda _: 2),
    (planning, "GUESSED_DIGITS", lambda: b"barcode\n12\n345\n", lambda _: 3),
]


def told_of(path: Path, content: bytes) -> str:
    """What is told of a file, or why it is refused."""
    try:
        return told_plan(plan(path, content))
    except FileRefused as error:
        return f"refused: {error}"


def brief(text: str) -> str:
    """Without what limits do not change."""
    kept = ("refused", "tickets", "wrong", "said", "samples", "  - {row: 2", '  - "')
    return "\n".join(line for line in text.splitlines() if line.startswith(kept))


def test_the_story_of_limits(tmp_path: Path, golden: Compare) -> None:
    lines = []
    for module, name, made, limit in LIMITS:
        content = made()
        at = limit(content)
        for allowed in (at, at - 1):
            with pytest.MonkeyPatch.context() as context:
                context.setattr(module, name, allowed)
                told = brief(told_of(tmp_path, content))
            beyond = "at the limit" if allowed == at else "one beyond"
            lines += [f"# {name}, {beyond}", told, ""]
    golden(GOLDEN / "limits.txt", "\n".join(lines).strip() + "\n")
