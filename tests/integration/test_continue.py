"""Real processes: a cluster that lost a key goes on as a new one, with its last certified state (R11)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Barrier, Issue
from tests.integration.node_cluster import ROOT, Cluster, environment, operation, running_cluster, submit
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def manage(*arguments: object, **settings: str) -> str:
    """What `manage.py genesis` says."""
    return subprocess.run(
        [sys.executable, "manage.py", "genesis", *map(str, arguments)],
        cwd=ROOT,
        env=environment() | {"DTVN_DATA": str(arguments[arguments.index("--data-dir") + 1])} | settings,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def codes(gateway: Gateway, *tickets: str, command: type[Issue] | type[Admit]) -> list[str]:
    """Outcome codes of the command for each ticket, in order."""
    return [submit(gateway, [operation(command(), ticket)])[0].code for ticket in tickets]


def fill(cluster: Cluster, gateway: Gateway, above: int) -> int:
    """Order until a checkpoint above a sequence is stable; it."""

    def stable() -> int:
        submit(gateway, [operation(Barrier())])
        found = int(cluster.status(gateway, 0)["stable"])
        return found if found > above else 0

    return wait_until(stable, what="a stable checkpoint")


def test_r11_a_new_cluster_refuses_what_the_old_one_admitted(tmp_path: Path) -> None:
    state = tmp_path / "cup.state"
    with running_cluster(tmp_path / "old", 2) as (cluster, gateway):
        assert codes(gateway, "T-1", "T-2", command=Issue) == ["ok", "ok"]
        assert codes(gateway, "T-1", command=Admit) == ["ok"]
        sequence = fill(cluster, gateway, 0)
        cluster.kill(0, 1)
        shutil.rmtree(cluster.node(1).root)
        saving = ("continue", "save", "--data-dir", tmp_path / "old", "--id", "node0", "--out", state)
        assert f"sequence {sequence}" in manage(*saving, **cluster.settings)
    said = manage("continue", "demo", state, "--data-dir", tmp_path / "new")
    assert "a ticket admitted later can be admitted again" in said
    with running_cluster(tmp_path / "new", 4) as (cluster, gateway):
        assert codes(gateway, "T-1", "T-2", "T-2", command=Admit) == [
            "already_consumed",
            "ok",
            "already_consumed",
        ]
        stable = fill(cluster, gateway, sequence)
        # A member that loses its ledger takes the state from the others: the file is not needed again.
        cluster.kill(3)
        cluster.lose_ledger(3)
        cluster.folder.continued.unlink()
        cluster.start(3)
        wait_until(lambda: cluster.status_of(gateway, 3).get("sequence", 0) >= stable, what="node3 caught up")
        assert cluster.ticket(gateway, 3, "T-1")["ticket"]["State"] == "CONSUMED"
