"""A campaign shows its progress on a terminal and writes it nowhere else."""

from __future__ import annotations

import io

import pytest

from simulator.cli.bar import bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with bar(3, "Playing seeds", terminal) as played:
        played()
        played()
        assert "2/3" in terminal.getvalue()


def test_no_progress_is_written_to_a_file() -> None:
    file = io.StringIO()
    with bar(3, "Playing seeds", file) as played:
        played()
    assert file.getvalue() == ""
