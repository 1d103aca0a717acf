"""Ledgers in processes of their own, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dtvn.ledger import LedgerBusy, Location
from tests.ledger.samples import CLUSTER
from tests.waiting import wait_until
from validators.ledger import Ledger, open_ledger

ROOT = Path(__file__).resolve().parent.parent.parent


def run_in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process and return its wait status: 0, or what ended it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def end_now() -> None:
    """What `kill -9` does: no handler, no flush, no close."""
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def script(source: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program in a bare environment: no Django settings, nothing migrated."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DJANGO", "DTVN"))}
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def reopen_when_free(place: Location, alias: str = "ledger-after-crash") -> Ledger:
    """Open after a kill: a server notices a dead client only when it looks at the socket."""

    def attempt() -> Ledger | None:
        try:
            return open_ledger(place, cluster_id=CLUSTER, alias=alias)
        except LedgerBusy:
            return None

    found = wait_until(attempt, what="the lock of a dead process is free")
    assert found is not None
    return found
