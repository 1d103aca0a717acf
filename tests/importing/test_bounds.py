"""A file within the size of an upload is read in bounded memory and time, whatever its form."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from tickets.importing.header import COLUMNS_MAX, ROWS_MAX
from tickets.importing.jsontext import VALUES_MAX
from tickets.importing.memory_limit import memory_limit
from tickets.importing.reading import WRONG_MAX, open_records
from tickets.importing.record import FileRefused, Record

SOON = 20.0
"""Seconds of processor time; the slowest of these took 180."""


def read(path: Path, text: str) -> list[Record]:
    path.write_text(text)
    began = time.process_time()
    try:
        return list(open_records(path, matters=lambda name: name in ("code", "name")).rows)
    finally:
        assert time.process_time() - began < SOON


@pytest.mark.parametrize("form", ["{commas}", "code{commas}\nx\n", "{commas}\n{commas}\n"])
def test_more_columns_than_excel_has_are_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(FileRefused, match=r"205,001 cells, more than 16,384"):
        read(tmp_path / "f.csv", form.format(commas="," * 205_000))


def test_as_many_columns_as_excel_has_are_read(tmp_path: Path) -> None:
    names = ",".join(f"c{number}" for number in range(COLUMNS_MAX - 1))
    [row] = read(tmp_path / "f.csv", f"code,{names}\nx{',' * (COLUMNS_MAX - 1)}\n")
    assert row.fields["code"] == "x"
    assert len(row.fields) == COLUMNS_MAX


def test_columns_of_one_name_are_told_apart_in_time(tmp_path: Path) -> None:
    names = ",".join(["same"] * (COLUMNS_MAX - 1))
    [row] = read(tmp_path / "f.csv", f"code,{names}\n" + ",".join(["x"] * COLUMNS_MAX) + "\n")
    assert len(row.fields) == COLUMNS_MAX


def test_more_rows_than_excel_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="larger than 1,048,576 rows"):
        read(tmp_path / "f.csv", "code,name\n" + "x,y\n" * (ROWS_MAX + 1))


def test_millions_of_blank_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"larger than 1,048,576 rows|lines"):
        read(tmp_path / "f.csv", "code\n" + "\r\n" * 5_000_000)


@pytest.mark.parametrize(("name", "head", "row"), [("f.csv", "code,name\n", "x\n"), ("f.jsonl", "", "[]\n")])
def test_a_file_of_wrong_rows_is_refused_as_a_whole(tmp_path: Path, name: str, head: str, row: str) -> None:
    good = '{"code": "a", "name": "b"}\n' if name.endswith("l") else "a,b\n"
    assert len(read(tmp_path / name, head + good * (WRONG_MAX + 2) + row * WRONG_MAX)) == 2 * WRONG_MAX + 2
    with pytest.raises(FileRefused, match=r"More than 10,000 rows cannot be read\. Row"):
        read(tmp_path / name, head + good * (WRONG_MAX + 2) + row * (WRONG_MAX + 1))


@pytest.mark.parametrize("item", ["{}", "[]", '{"a":{}}', "0"])
def test_json_of_too_many_values_is_refused_before_it_is_parsed(tmp_path: Path, item: str) -> None:
    with pytest.raises(FileRefused, match="more than 3,000,000 values"):
        read(tmp_path / "f.json", "[" + ",".join([item] * VALUES_MAX) + ",0]")


def test_memory_beyond_the_limit_refuses_the_file_and_not_the_worker() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with (
        pytest.raises(FileRefused, match="takes more than 64 MiB of memory to read"),
        memory_limit(64 * 2**20),
    ):
        bytes(512 * 2**20)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert len(bytes(128 * 2**20)) == 128 * 2**20
