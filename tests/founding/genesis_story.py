"""Types `manage.py genesis ...` with fixed chance and clock; tells what it says and which files it leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
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
        self._known: dict[Path, str] = {}

    def tell(self, title: str) -> None:
        self.lines.append(f"\n== {title}")

    def told(self, said: Said, *words: Any) -> None:
        """One command: its words, output, warnings, error, and the files that it changed."""
        self.lines.append(f"\n$ genesis {' '.join(str(word) for word in words)}")
        self.lines += [f"  {line}" for line in said.text.splitlines()]
        self.lines += [f"! {line}" for line in said.warnings.splitlines()]
        if said.code:
            self.lines.append(f"exit {said.code}: {said.error}")
        self.files()

    def types(self, *words: Any) -> Said:
        said = Said(*words)
        self.told(said, *words)
        return said

    def files(self) -> None:
        """Tell which files and folders came, changed or went since the last time."""
        now: dict[Path, str] = {}
        for path in sorted(self.root.rglob("*")):
            kind = "folder" if path.is_dir() else _content(path)
            now[path] = f"{path.stat().st_mode & 0o777:o} {kind}"
        for path, content in now.items():
            if self._known.get(path) != content:
                self.lines.append(f"  + {path.relative_to(self.root)} {content}")
        for path in sorted(self._known.keys() - now.keys()):
            self.lines.append(f"  - {path.relative_to(self.root)}")
        self._known = now

    def text(self) -> str:
        """The story, without what depends on this machine."""
        return "\n".join(self.lines).replace(str(self.root), "ROOT") + "\n"


def _content(path: Path) -> str:
    if path.name.endswith(OF_THIS_PROCESS):
        return "of this process"
    data = path.read_bytes()
    return f"{len(data)} bytes {sha256(data).hexdigest()[:12]}"
