"""A child of a parent that was killed ends once it has cleaned up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
SLOT = """
import os, sys, threading
from validators.processes import parent

main = os.getpid()
if os.fork():
    os.wait()
parent.leave_when_idle(main)
parent.now_busy()
print(os.getpid(), flush=True)
sys.stdin.readline()
parent.now_idle()
threading.Event().wait()  # as Celery waits for the lock of its results
"""


def test_a_slot_that_was_busy_ends_once_it_is_idle() -> None:
    """Its node had ended, and the slot stayed for ever, and with it what forks the API helpers."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", SLOT], stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as main:
        assert main.stdout is not None
        assert main.stdin is not None
        slot = psutil.Process(int(main.stdout.readline()))
        main.kill()
        main.wait(PATIENCE)
        assert slot.is_running()
        main.stdin.write("\n")
        main.stdin.flush()
        slot.wait(PATIENCE)
