"""A worker reports life from the moment it has its slot, and its processes share frozen memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
SLOW = """
import os, sys
from tests.waiting import wait_until
from validators.data_folder import environment
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
worker.app.Worker = lambda **_: os._exit(0)
worker.main("background", "default", 1, os.getppid())
"""
UNUSED = (
    *("dtvn_project.urls", "httpx", "requests", "rich", "simulator.world", "tickets.importing"),
    *("psycopg", "pycparser", "prompt_toolkit"),
)
"""Pages, imports, simulations, servers and commands of Celery use these; Celery parses C to ask for a signal
nobody wants."""
FROZEN = """
import gc, os, sys
from celery import signals
from validators.processes import worker

def report(**_):
    shared = gc.get_freeze_count() > 10 * len(gc.get_objects())
    os.write(1, " ".join([str(shared), *sorted(sys.modules)]).encode())
    os.kill(os.getppid(), 9)

signals.worker_process_init.connect(report)
worker.parent.follow = lambda *_, **__: None
worker.DataFolder(worker.environment.data_folder()).create()
worker.main("validators", "nodes", 1, os.getppid())
"""


def run_worker(program: str, data: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that starts a worker on the folder `data`, to its end."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"DTVN_DATA": str(data), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def test_a_worker_reports_life_during_a_long_import(tmp_path: Path) -> None:
    ended = run_worker(SLOW, tmp_path)
    assert ended.stdout == "alive meanwhile\n", ended.stderr
    assert ended.returncode == 0


def test_workers_share_frozen_memory_and_import_no_pages(tmp_path: Path) -> None:
    frozen, *modules = run_worker(FROZEN, tmp_path).stdout.split()
    assert frozen == "True"
    assert "dtvn.node.node" in modules  # what a node needs is imported once, before the fork
    assert not set(UNUSED) & set(modules)
