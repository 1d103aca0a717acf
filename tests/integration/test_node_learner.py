"""The learner's process: it follows real nodes, verifies, and its rows are what the platform reads (R28)."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.integration.node_cluster import ROOT, environment, operation, running_cluster, submit
from tests.waiting import wait_until
from tickets.machine import Consume, Issue, Validate

pytestmark = pytest.mark.integration

PROGRAM = """
import os, signal, sys
from pathlib import Path
os.environ["DJANGO_SETTINGS_MODULE"] = "dtvn_project.settings"
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
from validators.node.run import run_learner
sys.exit(run_learner(Path(sys.argv[1]), lambda: bool(asked)))
"""


@contextmanager
def learner(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (data / "learner.out").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(data)],
            cwd=ROOT,
            env=environment() | {"DTVN_DATA": str(data)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def state_of(data: Path, ticket: str) -> str:
    """A ticket's state in the learner's rows, "" while there is none."""
    path = data / "learner/ledger.sqlite3"
    if not path.exists():
        return ""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE name = 'ledger_ticket'").fetchall()
        if not found:
            return ""
        rows = connection.execute("SELECT state FROM ledger_ticket WHERE ticket_id = ?", (ticket,)).fetchall()
    return str(rows[0][0]) if rows else ""


def test_r28_the_learner_follows_restarts_and_catches_up(tmp_path: Path) -> None:
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        submit(gateway, [operation(Issue(), f"T-{number}") for number in range(100)])
        with learner(tmp_path) as process:
            wait_until(
                lambda: state_of(tmp_path, "T-99") == "ISSUED",
                timeout=30,
                what="the learner caught up with what was before it",
            )
            submit(gateway, [operation(Validate(), "T-1")])
            wait_until(lambda: state_of(tmp_path, "T-1") == "VALIDATED", timeout=10, what="it follows")
            process.terminate()
            assert process.wait(15) == 0
        submit(gateway, [operation(Consume(), "T-1")])
        cluster.kill(0)
        with learner(tmp_path) as process:
            wait_until(
                lambda: state_of(tmp_path, "T-1") == "CONSUMED",
                timeout=30,
                what="it goes on from its ledger, though the member it would ask first is dead",
            )
            process.kill()
            assert process.wait(10) == -9
        with learner(tmp_path):
            [issued] = submit(gateway, [operation(Issue(), "T-after")])
            assert issued.code == "ok"
            wait_until(
                lambda: state_of(tmp_path, "T-after") == "ISSUED", timeout=30, what="it survives kill -9"
            )
