"""A file appears whole or not at all, even while somebody else writes it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dtvn.files.whole import whole_file, write_private


def test_two_threads_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "figures"
    other = threading.Thread(target=write_private, args=(path, b"other"), kwargs={"replace": True})
    with whole_file(path, replace=True) as file:
        file.write(b"fi")
        other.start()
        other.join()
        assert path.read_bytes() == b"other"
        file.write(b"rst")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_exception_the_file_before_is_untouched(tmp_path: Path) -> None:
    path = tmp_path / "figures"
    write_private(path, b"before")
    with pytest.raises(TypeError):
        write_private(path, "no bytes", replace=True)  # type: ignore[arg-type]
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"first")
    with pytest.raises(FileExistsError):
        write_private(path, b"second")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_mode_that_is_asked_for_less_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        for name, mode in (("shared", 0o666), ("program", 0o755)):
            with whole_file(tmp_path / name, mode=mode) as file:
                file.write(b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "program").stat().st_mode & 0o777 == 0o755
