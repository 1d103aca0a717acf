"""Types `manage.py genesis ...` with fixed chance and clock; tells what it says and which files it leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.founding.parties import Said

MICROSECONDS = 1_700_000_000_123_456
OF_THIS_PROCESS = (".sqlite3", ".sqlite3-wal", ".sqlite3-shm", ".lock", ".turns")
"""Files whose bytes differ from run to run: they name processes and files."""


def fixed_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and times are the same in every run."""

    def numbers() -> Iterator[int]:
        number = 0
        while True:
            number += 1
            yield number

    counted = numbers()

    def urandom(size: int) -> bytes:
        return sha256(b"chance %d" % next(counted)).digest()[:size].ljust(size, b"\0")

    monkeypatch.setattr(os, "urandom", urandom)
    monkeypatch.setattr(time, "time_ns", lambda: MICROSECONDS * 1000 + 999)


@contextmanager
def private_files() -> Iterator[None]:
    """What a file may be read by does not depend on who runs the tests."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


class GenesisStory:
    """A folder in which parties work, and what they were told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lines: list[str] = []
        self._known: dict[Path, bytes] = {}
        self._shown: set[str] = set()

    def tell(self, title: str) -> None:
        self.lines.append(f"\n== {title}")

    def told(self, said: Said, *words: Any) -> None:
        """One command: its words, output, warnings, error, and the files that it changed."""
        self.lines.append(f"\n$ genesis {' '.join(str(word) for word in words)}")
        self.lines += self._anew(said.text.splitlines())
        self.lines += [f"! {line}" for line in said.warnings.splitlines()]
        if said.code:
            self.lines.append(f"exit {said.code}: {said.error}")
        self.files()

    def types(self, *words: Any) -> Said:
        said = Said(*words)
        self.told(said, *words)
        return said

    def files(self) -> None:
        """Tell which files came or changed since the last time, in one line; only the owner reads keys."""
        now = {
            path: path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and not path.name.endswith(OF_THIS_PROCESS)
        }
        new = [path for path, content in now.items() if self._known.get(path) != content]
        if new:
            self.lines.append(f"  files: {', '.join(str(path.relative_to(self.root)) for path in new)}")
        for path in new:
            if path.suffix == ".key":
                assert path.stat().st_mode & 0o777 == 0o600, path
        if gone := sorted(self._known.keys() - now.keys()):
            self.lines.append(f"  gone: {', '.join(str(path.relative_to(self.root)) for path in gone)}")
        self._known = now

    def _anew(self, lines: list[str]) -> list[str]:
        """Output as lines of the story; tables that were shown before are not repeated."""
        shown: list[str] = []
        for known, run in groupby(lines, self._shown.__contains__):
            found = list(run)
            shown += ["  (as before)"] if known and len(found) > 2 else [f"  {line}" for line in found]
        self._shown.update(lines)
        return shown

    def text(self) -> str:
        """The story, without what depends on this machine."""
        return "\n".join(self.lines).replace(str(self.root), "ROOT") + "\n"
