"""A file at a bound is read, and one beyond it is refused with the bound: nobody's memory is filled."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.importing.files import saved
from tests.importing.planning import plan
from tickets.importing import FileRefused, jsoncells, reading, shapes, workbook, workbook_parts

GUESTS = [["barcode", "seat"], ["C1", "A1"], ["C2", "A2"], ["C3", "A3"]]
SHEETS = "worksheets/sheet", "sharedStrings"


def sizes(content: bytes) -> dict[str, int]:
    """Bytes of each part of a workbook."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {part.filename: part.file_size for part in packed.infolist()}


def largest_tree(content: bytes) -> int:
    """Bytes of the largest part but sheets and shared texts."""
    return max(size for name, size in sizes(content).items() if not any(one in name for one in SHEETS))


LIMITS: list[tuple[ModuleType, str, Callable[[bytes], int]]] = [
    (workbook, "UNPACKED_BYTES_MAX", lambda content: sum(sizes(content).values())),
    (workbook, "PARTS_MAX", lambda content: len(sizes(content))),
    (workbook, "SHEETS_MAX", lambda _: 2),
    (workbook, "ROWS_MAX", lambda _: 4),
    (workbook, "CELLS_MAX", lambda _: 8),
    (workbook_parts, "TREE_BYTES_MAX", largest_tree),
    (workbook_parts, "ROW_PARTS_MAX", lambda _: 6),
    (workbook_parts, "BUILT_MAX", lambda _: 4),
    (workbook_parts, "BESIDE_MAX", lambda _: 11),
]


@pytest.mark.parametrize(("module", "name", "limit"), LIMITS, ids=[name for _, name, _ in LIMITS])
def test_a_workbook_beyond_a_bound_is_refused(
    module: ModuleType,
    name: str,
    limit: Callable[[bytes], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = saved({"Guests": GUESTS, "Notes": [["x"]]})
    monkeypatch.setattr(module, name, limit(content))
    assert len(plan(tmp_path, content).tickets) == 3
    monkeypatch.setattr(module, name, limit(content) - 1)
    with pytest.raises(FileRefused, match=r"more than|larger than"):
        plan(tmp_path, content)


def test_a_row_with_a_cell_beyond_the_bound_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CELL_CHARACTERS_MAX", 4)
    found = plan(tmp_path, "barcode,seat\nC1,A234\nC2,A2345\n")
    assert [one.codes for one in found.tickets] == [("C1",)]
    assert [(one.row, one.reason) for one in found.wrong] == [(3, "has a cell of 5 characters")]


@pytest.mark.parametrize(("name", "limit"), [("DEPTH_MAX", 4), ("NAME_MAX", len("inside a (a list) b"))])
def test_an_object_beyond_a_bound_is_wrong(
    name: str, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = [{"barcode": "C1"}, {"barcode": "C2", "inside": {"a": [{"b": "x"}]}}]
    monkeypatch.setattr(jsoncells, name, limit)
    assert len(plan(tmp_path, content, harmless=["inside a (a list) b"]).tickets) == 2
    monkeypatch.setattr(jsoncells, name, limit - 1)
    (wrong,) = plan(tmp_path, content).wrong
    assert f"more than {limit - 1} " in wrong.reason


def test_what_stands_around_very_many_tickets_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"season": "x", "tickets": [{"barcode": "C1"}, {"barcode": "C2"}]}
    monkeypatch.setattr(shapes, "COPY_BYTES", 1000)
    monkeypatch.setattr(shapes, "COPIES_MAX", 2)
    assert len(plan(tmp_path, content).tickets) == 2
    monkeypatch.setattr(shapes, "COPIES_MAX", 1)
    with pytest.raises(FileRefused, match="over 1 cells"):
        plan(tmp_path, content)
