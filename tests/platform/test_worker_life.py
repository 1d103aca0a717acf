"""A worker reports life from the moment it has its slot, not only after its imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
WORKER = """
import os, sys
from tests.waiting import wait_until
from dtvn_project import environment
from validators.processes import worker
from validators.data_folder.locks import heartbeat
from validators.data_folder.folder import DataFolder

slot = DataFolder(environment.data_folder()).slot_lock("background")

def imports_that_take_long():
    seen = set()
    wait_until(lambda: len(seen | {heartbeat(slot)}) > 3 or seen.add(heartbeat(slot)), what="signs of life")
    print("alive meanwhile", flush=True)

worker.parent.follow = lambda *_, **__: None
worker.app.loader.import_default_modules = imports_that_take_long
worker.app.worker_main = lambda _: os._exit(0)
worker.main("background", "default", 1, os.getppid())
"""


def test_a_worker_reports_life_during_a_long_import(tmp_path: Path) -> None:
    environment = os.environ | {"DTVN_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", WORKER],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert ended.stdout == "alive meanwhile\n", ended.stderr
    assert ended.returncode == 0
