"""Log lines of a real Celery worker with one slot about a killed or failed child."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
WORKER = """
import os
from pathlib import Path
import django

django.setup()
from celery.worker.request import Request
from tests.waiting import wait_until
from validators.data_folder import environment
from validators import tasks
from validators.processes import worker
from validators.data_folder.folder import DataFolder

heard_of = Path(environment.data_folder()) / "heard_of"

def accepted(self, *given, **more):
    begun(self, *given, **more)
    heard_of.touch()

def life(node_id, token):
    wait_until(heard_of.exists, what="the worker knows which of its processes this is")
    os.write(1, b"%d\\n" % os.getpid())
    LIFE

def told(self, *given, **more):
    failed(self, *given, **more)
    os._exit(0)

begun, Request.on_accepted = Request.on_accepted, accepted
failed, Request.on_failure = Request.on_failure, told
tasks.run_validator.run = life
worker.app.conf.worker_lost_wait = 0.1
worker.parent.follow = lambda *_, **__: None
DataFolder(environment.data_folder()).create()
tasks.run_validator.apply_async(("node7", "token"), queue="nodes")
worker.main("validators", "nodes", 1, os.getppid())
"""


def said(data: Path, life: str, **given: str) -> list[str]:
    """All that the worker printed until its task had failed; the first line has the id of the process."""
    given |= {"DTVN_DATA": str(data), "TMPDIR": str(data), "DJANGO_SETTINGS_MODULE": "dtvn_project.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", WORKER.replace("LIFE", life)],
        env=os.environ | given,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout.splitlines()


def test_a_killed_child_is_logged_in_one_line_with_the_nodes_name(tmp_path: Path) -> None:
    pid, line = said(tmp_path, "os.kill(os.getpid(), 9)")
    how = f"node7 (process {pid}) ended: signal 9 (SIGKILL); it is restarted unless it was asked to stop"
    assert line == f"ERROR multiprocessing: {how}"


def test_the_line_of_a_killed_child_is_json_where_all_lines_are(tmp_path: Path) -> None:
    _, line = said(tmp_path, "os.kill(os.getpid(), 9)", DTVN_LOG_FORMAT="json")
    told = msgspec.json.decode(line)
    assert (told["level"], told["message"][:6]) == ("error", "node7 ")


def test_an_exception_of_a_task_is_logged_with_its_traceback(tmp_path: Path) -> None:
    lines = said(tmp_path, "raise RuntimeError('a mistake of ours')")
    assert "Traceback (most recent call last):" in lines
    assert "RuntimeError: a mistake of ours" in lines


def test_a_child_that_exited_by_itself_is_reported_without_a_traceback(tmp_path: Path) -> None:
    lines = said(tmp_path, "os._exit(3)")
    assert any("node7 (process " in line and "ended: exitcode 3;" in line for line in lines)
    assert any("Worker exited prematurely: exitcode 3" in line for line in lines)
    assert "Traceback (most recent call last):" not in lines
