"""Real validator processes: alone, four together, stopped, killed, started twice."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue
from dtvn.node.keys import dev_seed
from dtvn.protocol.genesis import decode
from tests.integration.node_cluster import (
    ROOT,
    Cluster,
    environment,
    operation,
    running_cluster,
    submit,
    validator,
)
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TURNS = 10
"""Tries at most to see a view that stays."""
SEQUENCES = 600
"""Enough for a mark after entry 3: one is stored with a checkpoint at least 256 sequences later."""


@pytest.mark.exhaustive
def test_one_node_with_development_keys_commits_alone(tmp_path: Path) -> None:
    """Right after `make install`: no broker, no migrate, no environment, no cluster made before."""
    [port] = free_ports(1)
    with (tmp_path / "out").open("ab") as log:
        process = validator(
            "-dev-keys", "-total-nodes", "1", "-port", str(port), "-data-dir", str(tmp_path / "data"), log=log
        )
    try:
        path = tmp_path / "data/nodes/node0/identity/genesis.bin"
        wait_until(path.exists, what="the node made its genesis")
        gateway = Gateway(
            decode(path.read_bytes()),
            dev_seed("gateway"),
            principal="gateway",
            addresses={0: ("127.0.0.1", port)},
        )
        with gateway:
            [issued] = submit(gateway, [operation(Issue(), "T-1")])
            [admitted] = submit(gateway, [operation(Admit(), "T-1")])
            [again] = submit(gateway, [operation(Admit(), "T-1")])
        assert (issued.code, admitted.code, again.code) == ("ok", "ok", "already_consumed")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)
    printed = (tmp_path / "out").read_text(encoding="utf-8")
    assert "WARNING: -dev-keys: anyone can derive every key" in printed
    assert f"/ip4/127.0.0.1/tcp/{port}/p2p/12D3KooWLtBkKrip2jyaRzhUphqYyVXGUPMMbmpBWHZMYXaueb9C" in printed
    assert "crash-only, no liar tolerated" in printed


def test_r10_a_second_process_of_a_node_exits_and_the_first_continues(tmp_path: Path) -> None:
    with running_cluster(tmp_path, 1) as (cluster, gateway):
        with (tmp_path / "second").open("ab") as log:
            settings = cluster.settings
            second = validator("-id", "node0", "-data-dir", str(tmp_path), log=log, settings=settings)
            assert second.wait(PATIENCE) == 1
        assert "in use by another process" in (tmp_path / "second").read_text(encoding="utf-8")
        [issued] = submit(gateway, [operation(Issue(), "T-1")])
        assert issued.code == "ok"
        assert cluster.processes[0].poll() is None


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "validator", *flags],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_validator_with_a_port_in_use_exits_with_one_line_and_1(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.start()
        gateway = cluster.gateway()
        cluster.ready(gateway)
        port = str(cluster.genesis.members[0].port)
        ended = run("-dev-keys", "-total-nodes", "1", "-port", port, "-data-dir", str(tmp_path / "other"))
        assert ended.returncode == 1
        [line] = [text for text in ended.stdout.splitlines() if "cannot_start" in text]
        assert f"127.0.0.1:{port}" in line
        assert "Address already in use" in line


@pytest.mark.exhaustive
def test_a_validator_with_an_unwritable_folder_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = run("-dev-keys", "-total-nodes", "1", "-data-dir", str(tmp_path / "file"))
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def test_ctrl_c_ends_a_node_in_order_and_ps_names_it(tmp_path: Path) -> None:
    with running_cluster(tmp_path, 1) as (cluster, _gateway):
        process = cluster.processes[0]
        assert "dtvn validator node0" in " ".join(psutil.Process(process.pid).cmdline())
        process.send_signal(2)
        process.send_signal(2)
        assert process.wait(PATIENCE) == 0
    assert "stopped sequence=" in cluster.output(0)


def test_r31_a_paused_primary_is_replaced_and_follows_when_it_wakes(tmp_path: Path) -> None:
    """A paused process is not replaced by a second one, and its old messages change nothing."""
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        submit(gateway, [operation(Issue(), "T-1")])
        cluster.processes[0].send_signal(signal.SIGSTOP)
        wait_until(lambda: not gateway.members()[0].connected, what="heartbeats notice the pause")
        [issued] = submit(gateway, [operation(Issue(), "T-2")])
        assert issued.code == "ok", cluster.outputs()
        cluster.processes[0].send_signal(signal.SIGCONT)
        cluster.settled()
        # A busy machine may change views by itself: what the woken node says would move them every time.
        turns = range(TURNS)
        assert not all(operations_move_the_view(cluster, gateway, turn) for turn in turns), cluster.outputs()
        assert cluster.ticket(gateway, 0, "T-2")["ticket"]["State"] == "ISSUED"


@pytest.mark.exhaustive
def test_r31_nodes_measure_the_round_trip_to_a_quorum(tmp_path: Path) -> None:
    """Over real links: a positive round trip, and T not below its base nor beyond 5 s."""
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        for index in range(4):
            wait_until(
                lambda index=index: cluster.status_of(gateway, index)["quorum_round_trip_ms"] > 0,
                what=f"node{index} has heard a quorum of Pongs",
            )
            assert 800 <= cluster.status_of(gateway, index)["timeout_ms"] <= 8_000


def operations_move_the_view(cluster: Cluster, gateway: Gateway, turn: int) -> bool:
    view = wait_until(lambda: common_view(cluster, gateway), what=lambda: f"one view\n{cluster.outputs()}")
    for number in range(10):
        [issued] = submit(gateway, [operation(Issue(), f"T-after-{turn}-{number}")])
        assert issued.code == "ok"
    after = wait_until(lambda: common_view(cluster, gateway), what=lambda: f"one view\n{cluster.outputs()}")
    return after != view


def common_view(cluster: Cluster, gateway: Gateway) -> int | None:
    """The view that all four nodes are in, none while they differ (0 is left behind here)."""
    views = {cluster.status(gateway, index).get("view") for index in range(4)}
    return views.pop() if len(views) == 1 else None


@pytest.mark.embedded_only
def test_r9_damage_found_beside_the_work_ends_a_node_and_its_next_start(tmp_path: Path) -> None:
    """The first start succeeds because it reads no older entry; the second one checks them all."""
    with running_cluster(tmp_path, 1) as (cluster, gateway):
        for number in range(SEQUENCES):
            submit(gateway, [operation(Issue(), f"T-{number}")])
        cluster.kill(0)
        with closing(sqlite3.connect(cluster.node(0).ledger / "ledger.sqlite3")) as database, database:
            database.execute("UPDATE ledger_consensusentry SET timestamp = timestamp + 1 WHERE sequence = 3")
        cluster.start(0)
        assert cluster.processes.pop(0).wait(PATIENCE) == 1
        again = len(cluster.output(0))
        cluster.start(0)
        assert cluster.processes.pop(0).wait(PATIENCE) == 1
        lives = cluster.output(0)
    damage = "Entry 3 is damaged: it differs from its checksum."
    assert damage in lives[:again]
    assert damage in lives[again:]
    assert lives.count(" started ") == 2, "the last life ended before it voted"
