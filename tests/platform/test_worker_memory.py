"""What a worker's processes share: few modules, and memory that no child's garbage collection writes to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
UNUSED = (
    *("dtvn_project.urls", "httpx", "requests", "rich", "simulator.world", "tickets.importing"),
    *("psycopg", "pycparser"),
)
"""Pages, imports, simulations and servers use these; Celery parses C to ask for a signal nobody wants."""
WORKER = """
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


def test_workers_share_frozen_memory_and_import_no_pages(tmp_path: Path) -> None:
    environment = os.environ | {"DTVN_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    frozen, *modules = subprocess.run(
        [sys.executable, "-c", WORKER],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    ).stdout.split()
    assert frozen == "True"
    assert "dtvn.node.node" in modules  # what a node needs is imported once, before the fork
    assert not set(UNUSED) & set(modules)
