"""Which files the step of `action.yml` checks: paths, patterns, hidden files, links."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.integration.node_cluster import ROOT

STEP: dict[str, Any] = runpy.run_path(str(ROOT / "deploy/validate_events.py"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings in folders, of which one is hidden and two have links back to the first."""
    for name in ("a.sse", "deep/b.sse", "deep/.c.sse", ".hidden/d.sse", "deep/e.ndjson", ".git/refs/f.sse"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "deep/loop").symlink_to(tmp_path)
    (tmp_path / ".hidden/loop").symlink_to(tmp_path)
    (tmp_path / "deep/folder.sse").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("lines", "files"),
    [
        (["**/*.sse"], [".hidden/d.sse", "a.sse", "deep/.c.sse", "deep/b.sse"]),
        (["deep/**"], ["deep/.c.sse", "deep/b.sse", "deep/e.ndjson"]),
        (["*.sse", "a.sse", "./a.sse", "**/a.sse"], ["a.sse"]),
        (["deep/loop/*.sse"], ["deep/loop/a.sse"]),
        (["http://h/**", "deep/../a.sse", "a.sse"], ["http://h/**", "deep/../a.sse"]),
    ],
)
def test_each_file_is_found_once(lines: list[str], files: list[str]) -> None:
    assert STEP["sources"](lines) == files


def test_a_pattern_from_the_root_is_as_one_from_here(folder: Path) -> None:
    (folder / "deep/[x].sse").touch()
    assert STEP["sources"]([f"{folder}/d*/b.sse", "deep/b.sse"]) == [f"{folder}/deep/b.sse"]
    assert STEP["sources"](["deep/[x].sse"]) == ["deep/[x].sse"]


@pytest.mark.parametrize("line", ["deep", "*.txt", "/", ".", ".git/**", "deep/loop/**/gone.sse", "a**b"])
def test_what_matches_nothing_is_said(line: str) -> None:
    with pytest.raises(STEP["StepError"], match="files: "):
        STEP["sources"]([line])
