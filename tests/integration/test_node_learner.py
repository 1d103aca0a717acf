"""The learner's process: it follows real nodes, verifies, and its rows are what the platform reads (R28)."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from dtvn.machine import Consume, Issue, Validate
from tests.integration.node_cluster import ROOT, Cluster, environment, operation, running_cluster, submit
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PROGRAM = """
import os, signal, sys
from pathlib import Path
os.environ["DJANGO_SETTINGS_MODULE"] = "dtvn_project.settings"
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
import django
django.setup()
from dtvn.node.run import run_learner
from validators.ledger import open_ledger
sys.exit(run_learner(Path(sys.argv[1]), lambda: bool(asked), open_ledger=open_ledger))
"""


@contextmanager
def learner(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    data = cluster.data
    with (data / "learner.out").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(data)],
            cwd=ROOT,
            env=environment() | cluster.settings | {"DTVN_DATA": str(data)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


def state_of(cluster: Cluster, ticket: str) -> str:
    """A ticket's state in the learner's rows, "" while there is none."""
    if url := cluster.settings.get("DATABASE_URL"):
        with psycopg.connect(url, autocommit=True) as connection:
            if connection.execute("SELECT to_regclass('learner.ledger_ticket')").fetchone() == (None,):
                return ""
            rows = connection.execute(
                "SELECT state FROM learner.ledger_ticket WHERE ticket_id = %s", (ticket,)
            ).fetchall()
            return str(rows[0][0]) if rows else ""
    path = cluster.data / "learner/ledger.sqlite3"
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
        with learner(cluster) as process:
            wait_until(
                lambda: state_of(cluster, "T-99") == "ISSUED",
                what="the learner caught up with what was before it",
            )
            submit(gateway, [operation(Validate(), "T-1")])
            wait_until(lambda: state_of(cluster, "T-1") == "VALIDATED", what="it follows")
            process.terminate()
            assert process.wait(PATIENCE) == 0
        submit(gateway, [operation(Consume(), "T-1")])
        cluster.kill(0)
        with learner(cluster) as process:
            wait_until(
                lambda: state_of(cluster, "T-1") == "CONSUMED",
                what="it goes on from its ledger, though the member it would ask first is dead",
            )
            process.kill()
            assert process.wait(PATIENCE) == -9
        with learner(cluster):
            [issued] = submit(gateway, [operation(Issue(), "T-after")])
            assert issued.code == "ok"
            wait_until(lambda: state_of(cluster, "T-after") == "ISSUED", what="it survives kill -9")
