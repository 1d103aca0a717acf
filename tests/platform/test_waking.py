"""What ends a wait of `up`: a ring, the end of a process, a note in a file, a node that falls silent."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from validators.data_folder.changes import note_change
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import SlotLock
from validators.processes.attention import LOOK_INTERVAL, TURN_INTERVAL, Attention
from validators.processes.waking import Alarm, Bell, signal_at_writes

LONG = 60.0


def woken(wait: Callable[[], bool], act: Callable[[], object]) -> bool:
    """Whether the wait, begun before `act`, ended long before its time."""
    timer = threading.Timer(0.1, act)
    timer.start()
    began = time.monotonic()
    try:
        return wait() and time.monotonic() - began < LONG / 2
    finally:
        timer.join()


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    before = {number: signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGIO)}
    yield Alarm()
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_ring_ends_one_wait() -> None:
    bell = Bell()
    assert woken(lambda: bell.wait(LONG), bell.ring)
    assert not bell.wait(0.01)
    for _ in range(100_000):
        bell.ring()
    assert bell.wait(LONG)


def test_the_end_of_a_process_that_is_no_child_ends_a_wait() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        process = int(shell.stdout.readline())
        assert woken(lambda: Bell().wait(LONG, [process]), lambda: subprocess.run(["kill", str(process)]))


def test_the_end_of_a_child_ends_the_wait_of_the_main_thread(alarm: Alarm) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert woken(lambda: alarm.wait(LONG), child.kill)


def test_a_note_of_a_change_ends_the_wait_of_the_main_thread(tmp_path: Path, alarm: Alarm) -> None:
    path = DataFolder(tmp_path).desired_changes
    path.parent.mkdir()
    assert signal_at_writes(path.parent)
    for _ in ("made", "written"):
        assert woken(lambda: alarm.wait(LONG), lambda: note_change(path))
        while alarm.wait(0.05):
            pass


def test_reconcile_rests_until_the_next_turn_or_silence(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    lock = SlotLock(folder.node_lock("node0"))
    assert lock.take()
    lock.show_life()
    attention = Attention(folder, lambda name: True)
    assert attention.is_due(["node0"], 1_000.0)
    assert attention.rest() == LOOK_INTERVAL, "until all is settled"
    attention.settled = True
    assert attention.rest() == TURN_INTERVAL
    then = time.time() - 2.5
    os.utime(folder.node_lock("node0"), (then, then))
    attention.is_due(["node0"], 1_000.2)
    attention.settled = True
    assert attention.rest() < TURN_INTERVAL, "it would be silent before"
    lock.release()
