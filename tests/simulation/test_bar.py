"""Whoever waits for a campaign at a terminal sees how far it is; nothing else gets a byte of that."""

from __future__ import annotations

import io

import pytest

from simulator.cli.bar import bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_shown_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with bar(3, "Playing seeds", terminal) as played:
        played()
        played()
        assert "2/3" in terminal.getvalue()


def test_a_file_stays_as_it_is() -> None:
    file = io.StringIO()
    with bar(3, "Playing seeds", file) as played:
        played()
    assert file.getvalue() == ""
