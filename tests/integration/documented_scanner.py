"""The scanner of docs/use/scanner.md at a gate, run as it stands there: guests show codes, and it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Thread

from tests.docs.taught import blocks
from tests.waiting import PATIENCE


class Scanner:
    """The program of the documentation at one gate, which may be killed and started again."""

    def __init__(
        self,
        folder: Path,
        url: str,
        key: str,
        gate: str,
        *,
        event: str = "fest",
        environment: Mapping[str, str] = {},
    ) -> None:
        """`folder`: it gets one for this gate; `url`: the platform, or a proxy before it."""
        self.folder = folder / gate
        self.folder.mkdir()
        (program,) = blocks("use/scanner.md", "python")
        (self.folder / "scanner.py").write_text(program, encoding="utf-8")
        self.more = {"DTVN_URL": url, "DTVN_KEY": key, "DTVN_EVENT": event, "DTVN_GATE": gate}
        self.more |= environment
        self.shown: list[str] = []
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "scanner.py"],
            cwd=self.folder,
            env=os.environ | self.more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        self._reading = Thread(target=self._read, args=(self.process, self._lines))
        self._reading.start()

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip("\n"))

    def show(self, code: str) -> None:
        """A guest shows a code."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{code}\n")
        self.process.stdin.flush()

    def said(self) -> str:
        """The next line on the screen."""
        line = self._lines.get(timeout=2 * PATIENCE)
        self.shown.append(line)
        return line

    def outcome(self, code: str) -> str:
        """The next line about a code that is no WAIT: then its guest shows it again."""
        while " WAIT: " in (line := self.said()):
            self.show(code)
        assert line.startswith(f"...{code[-4:]} ")
        return line.removeprefix(f"...{code[-4:]} ")

    def answer(self, code: str) -> str:
        """A guest shows a code, and what the screen says of it in the end."""
        self.show(code)
        return self.outcome(code)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reading.join()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
