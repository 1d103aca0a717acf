"""Runs commands of `dtvn` in this process and tells what they were given, printed, wrote and returned."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from dtvn.cli import main


class CommandStory:
    """A folder in which commands run, and the text of what they did."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.lines: list[str] = []
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.delenv("DTVN_API_KEY", raising=False)
        monkeypatch.setattr(sys, "argv", ["dtvn"])

    def tell(self, title: str) -> None:
        self.lines.append(f"\n== {title}")

    def write(self, name: str, data: bytes) -> str:
        """Write a file that commands read; its name."""
        (self.folder / name).write_bytes(data)
        return name

    def run(self, *arguments: str, stdin: bytes = b"", writes: tuple[str, ...] = ()) -> None:
        """Run `dtvn` with these arguments; tell output, errors, exit code, and the files that it wrote."""
        out, err = io.StringIO(), io.StringIO()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            try:
                code: object = main.run(arguments)
            except SystemExit as ended:
                code = f"{ended.code} of the options"
        given = f" < {len(stdin)} bytes" if stdin else ""
        self.lines.append(f"\n$ dtvn {shlex.join(arguments)}{given}")
        self.lines += [f"  {line}" for line in out.getvalue().splitlines()]
        self.lines += [
            f"! {line}" for line in err.getvalue().splitlines() if not line.startswith(("usage:", "    "))
        ]
        self.lines.append(f"exit {code}")
        for name in writes:
            self.lines.append(f"-- {name}")
            self.lines += [f"  {line}" for line in (self.folder / name).read_text("utf-8").splitlines()]

    def text(self) -> str:
        """The story, without what depends on this machine."""
        told = "\n".join(self.lines).replace(str(self.folder), "FOLDER") + "\n"
        return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", told)
