"""A splice as a process of its own, for tests."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.integration.node_cluster import ROOT, environment
from tests.waiting import PATIENCE, wait_until


class SpliceProcess:
    """`manage.py splice` with these further words. `enter`: words before the command, for another host."""

    def __init__(self, folder: Path, address: str, port: int, *words: str, enter: Sequence[str] = ()) -> None:
        place = ["--data-dir", str(folder), "--host", address, "--port", str(port)]
        self._command = [*enter, sys.executable, "manage.py", "splice", *place, *words]
        self._process: subprocess.Popen[str] | None = None
        self.log = folder.with_suffix(".out")

    def start(self) -> str:
        """Start it; returns its multiaddr once it listens."""
        before = self.said()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

        def listens() -> str:
            lines = self.said().removeprefix(before).splitlines()
            return next((line.split()[-1] for line in lines if line.startswith("splice at ")), "")

        found = wait_until(listens, what=self.said)
        assert found
        return found

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(PATIENCE)
