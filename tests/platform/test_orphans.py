"""Processes whose parent has died: `up` as process 1 of a container inherits them, and leaves no zombie."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until
from validators.data_folder.folder import DataFolder
from validators.processes.children import Child
from validators.processes.supervisor import Supervisor

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def inheriting() -> Iterator[None]:
    """This process inherits orphans, like process 1 of a container."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def zombie(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def orphan() -> int:
    """A process that ended after its parent did: process id."""
    run = subprocess.run(["sh", "-c", "sleep 0.01 & echo $!"], stdout=subprocess.PIPE, check=True)
    process = int(run.stdout)
    wait_until(lambda: zombie(process), what="it has ended, and its exit code is ours to read")
    return process


@pytest.mark.usefixtures("inheriting")
def test_up_leaves_no_zombie_and_keeps_its_childrens_exit_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    up = Supervisor(folder, host="127.0.0.1", port=25_000, nodes=1)
    own = subprocess.Popen(["sh", "-c", "exit 7"])
    child = Child("background", [], up._output)
    child._process = own
    monkeypatch.setattr(child, "keep_alive", lambda: None)
    monkeypatch.setattr(child, "start", lambda: None)
    up._children, up._slots = [child], 8
    first = orphan()
    wait_until(lambda: zombie(own.pid), what="the child of its own has ended too")
    turns = 0

    def one_turn(seconds: float) -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            assert zombie(own.pid), "its starter reads its exit code"
            assert own.wait() == 7
        up._signals = turns == 2

    monkeypatch.setattr(up._alarm, "wait", one_turn)
    up._supervise([])
    up._stop.set()
    assert not zombie(first)
    with suppress(ChildProcessError):
        os.waitpid(first, 0)
        pytest.fail("its exit code was not read")
