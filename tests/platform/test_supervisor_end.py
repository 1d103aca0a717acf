"""The end of a network is promised within 12 s, whatever hangs (X29)."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from validators.processes import supervisor
from validators.processes.folder import DataFolder
from validators.processes.supervisor import STOP_GRACE, Supervisor


@pytest.fixture
def ending(tmp_path: Path) -> Supervisor:
    folder = DataFolder(tmp_path)
    folder.create()
    return Supervisor(folder, host="127.0.0.1", port=25_000, nodes=1)


def test_x29_threads_that_hang_are_waited_for_together(
    ending: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert STOP_GRACE < supervisor.END_WITHIN < 12
    monkeypatch.setattr(supervisor, "END_WITHIN", 0.2)
    free = threading.Event()
    threads = [threading.Thread(target=free.wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    ending._end(threads)
    took = time.monotonic() - begun
    free.set()
    assert took < 3, "once, and not each for itself"


def test_x29_no_thread_keeps_the_process(ending: Supervisor) -> None:
    assert all(thread.daemon for thread in ending._threads({}))
