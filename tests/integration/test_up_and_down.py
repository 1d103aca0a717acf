"""Starting and ending a network: signals, ports, folders, second starts. Real processes throughout."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.network import (
    REPOSITORY,
    START_PATIENCE,
    Network,
    network,
    wait_until_gone,
)
from tests.integration.test_process_life import state_shown, wait_until_everyone_runs
from tests.ports import free_ports, occupied
from tests.waiting import MARGIN, PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

# Promised times, in seconds.
STOP = 15.0
KILLED = 10.0
AGAIN = 15.0


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path / "my data") as started:
        yield started


def seed_and_consume(started: Network, ticket_id: str) -> None:
    with started.client() as client:
        assert client.post("/api/v1/tickets/seed").status_code == 200
        for verb in ("validate", "consume"):
            answer = client.post(f"/api/v1/tickets/{verb}", json={"ticket_id": ticket_id})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("number", "who"),
    [
        (signal.SIGTERM, "make alone"),
        (signal.SIGTERM, "all of them, twice"),
        pytest.param(signal.SIGINT, "all of them", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGTERM, "all of them", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGINT, "all of them, twice", marks=pytest.mark.exhaustive),
    ],
)
def test_a_signal_ends_all_processes_of_a_network(
    fresh: Network, number: int, who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    fresh.start(through_make=True)
    processes = fresh.processes()
    assert len(processes) > 8
    assert fresh.process is not None
    if who == "make alone":
        fresh.process.send_signal(number)
    for _ in range(who.count("all") + who.count("twice")):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        if who.endswith("twice"):
            wait_until(lambda: not fresh.credentials_file.exists(), what="the end has begun")
    wait_until_gone(processes, timeout=STOP * MARGIN)
    assert not fresh.credentials_file.exists(), "a network that is gone is not ready"
    assert "ERROR" not in fresh.log.read_text(), "nothing went wrong"
    if who == "make alone":  # whose children are not hurried by a signal of their own
        assert not list(scratch.iterdir()), "nothing is left in the folder for passing files"


@pytest.mark.exhaustive
def test_a_network_ends_quickly_and_quietly_after_nodes_were_killed(
    fresh: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery takes a killed child's task for running for ten seconds more, and replaces its slot from a
    thread that ends before its process."""
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    fresh.start()
    wait_until_everyone_runs(fresh)
    slots = len(idle_slots(fresh))
    kill_node(fresh, "node1")
    wait_until(lambda: len(idle_slots(fresh)) == slots, what="the slot is replaced")
    killed = kill_node(fresh, "node2")
    before = len(fresh.log.read_text())
    processes = fresh.processes()
    assert list(scratch.iterdir()), "a worker takes its own away when it ends by itself"
    processes[0].send_signal(signal.SIGTERM)
    wait_until_gone(processes, timeout=STOP * MARGIN)
    assert not list(scratch.iterdir()), "none was waited for until `up` killed it, eight seconds later"
    ended = [line for line in fresh.log.read_text()[before:].splitlines() if "ERROR multiprocessing" in line]
    assert all(f"(process {killed})" in line for line in ended), "none but the one that was killed"


def kill_node(started: Network, node_id: str) -> int:
    """A network is ready when three of four are: this one may only be starting."""
    killed = int(wait_until(lambda: started.nodes()[node_id]["pid"] or 0, what=f"a process of {node_id}"))
    os.kill(killed, signal.SIGKILL)
    started.wait_for_title(f"validator {node_id} ", besides=killed)
    return killed


def idle_slots(started: Network) -> list[str]:
    return [title for title in started.titles() if "idle slot" in title]


@pytest.mark.exhaustive
def test_children_of_a_killed_up_end_and_it_can_start_again(fresh: Network) -> None:
    fresh.start()
    seed_and_consume(fresh, "TICKET-001")
    first = fresh.credentials
    processes = fresh.processes()
    processes[0].kill()
    wait_until_gone(processes, timeout=KILLED * MARGIN)
    assert not fresh.credentials_file.exists()
    fresh.start()
    assert fresh.credentials == first
    with fresh.client() as client:  # its learner, which may have been killed behind it, catches up first
        wait_until(lambda: state_shown(client, "TICKET-001") == "CONSUMED", what="nothing is lost")


@pytest.mark.exhaustive
def test_a_start_after_a_kill_waits_for_the_remaining_processes(fresh: Network) -> None:
    fresh.start()
    left = fresh.processes()
    left[0].kill()
    wait_until(lambda: not fresh.credentials_file.exists(), what="the old credentials are gone")
    since = time.monotonic()
    fresh.start()
    assert time.monotonic() - since < (KILLED + AGAIN) * MARGIN
    wait_until_gone(left, timeout=KILLED * MARGIN)


@pytest.mark.exhaustive
def test_a_node_that_cannot_start_gives_the_reason_and_blocks_no_other(fresh: Network) -> None:
    fresh.start()
    fresh.stop()
    (fresh.data / "nodes" / "node3" / "identity" / "node.key").write_bytes(b"not a key")
    fresh.start()
    seed_and_consume(fresh, "TICKET-001")

    def says_why() -> bool:
        node = fresh.nodes()["node3"]
        return node["status"] == "error" and "key" in node.get("error", "")

    wait_until(says_why, what="the reason is shown")


def test_a_second_start_on_another_port_keeps_the_data(fresh: Network) -> None:
    """NODES is then ignored with a message; a kept port that is taken is reported in one line."""
    fresh.start()
    seed_and_consume(fresh, "TICKET-001")
    first = fresh.credentials
    nodes = {node_id: node["port"] for node_id, node in fresh.nodes().items()}
    fresh.stop()
    fresh.port = free_ports(1)[0]
    fresh._environment["NODES"] = "7"
    since = time.monotonic()
    fresh.start()
    assert time.monotonic() - since < AGAIN * MARGIN
    assert fresh.credentials == first | {"url": fresh.url}
    assert {node_id: node["port"] for node_id, node in fresh.nodes().items()} == nodes
    assert "NODES counts only at the first start" in fresh.log.read_text()
    with fresh.client() as client:
        again = client.post("/api/v1/tickets/consume", json={"ticket_id": "TICKET-001"})
    assert again.status_code == 409
    fresh.stop()
    del fresh._environment["NODES"]
    with occupied(nodes["node2"]):
        line = refused(fresh.data, **fresh._environment)
    assert str(nodes["node2"]) in line
    assert "node2" in line


@pytest.mark.exhaustive
def test_two_networks_run_side_by_side(fresh: Network, tmp_path: Path) -> None:
    deep = tmp_path / ("a long name " * 10) / "données"
    deep.parent.mkdir()
    with network(deep, environment={"NODES": "1"}) as other:
        fresh.start()  # first: which ports are free is seen by who listens
        other.start()
        assert len(fresh.nodes()) == 4
        assert len(other.nodes()) == 1
        assert fresh.credentials["api_key"] != other.credentials["api_key"]
        with httpx.Client(trust_env=False, timeout=60) as client:
            foreign = client.get(
                f"{fresh.url}/api/v1/nodes", headers={"X-API-Key": other.credentials["api_key"]}
            )
        assert foreign.status_code == 401


def test_make_down_stops_one_that_was_left_behind(fresh: Network) -> None:
    fresh.start()
    processes = fresh.processes()
    assert run_down(fresh).returncode == 0
    wait_until_gone(processes, timeout=STOP * MARGIN)
    again = run_down(fresh)
    assert again.returncode == 0
    assert "no network is running" in again.stdout


def run_down(started: Network) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "down", f"DATA={started.data}"],
        cwd=REPOSITORY,
        env=started.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.exhaustive
def test_an_unread_output_does_not_stop_the_network(fresh: Network) -> None:
    """`make up | head -1`."""
    fresh.launch_unread()
    wait_until(fresh.is_ready, timeout=START_PATIENCE, what="ready")
    assert len(fresh.nodes()) == 4


def refused(data: Path, code: int = 1, **environment: str) -> str:
    """The one line with which `up` refuses to start."""
    started = Network(data, environment=environment)
    answer = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=REPOSITORY,
        env=started.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert answer.returncode == code
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1, answer.stderr
    return lines[0]


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused(tmp_path / "data", PORT=port)
    assert port in line
    assert "in use" in line


def test_an_unwritable_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused(tmp_path / "file" / "data", DTVN_DATA=str(tmp_path / "file" / "data"))


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("NODES", "many", 2),
        pytest.param("NODES", "0", 1, marks=pytest.mark.exhaustive),
        pytest.param("NODES", "32", 1, marks=pytest.mark.exhaustive),
        ("PORT", "70000", 2),
        pytest.param("PORT", "x", 2, marks=pytest.mark.exhaustive),
        pytest.param("DTVN_KILL_SILENT_AFTER", "1", 2, marks=pytest.mark.exhaustive),
        ("DTVN_KILL_SILENT_AFTER", "soon", 2),
        ("DTVN_EVENTS_CONFIG", "large", 1),
        pytest.param("DTVN_EVENTS_CONFIG", "nowhere", 2, marks=pytest.mark.exhaustive),
    ],
)
def test_an_invalid_value_is_reported_in_one_line(tmp_path: Path, name: str, value: str, code: int) -> None:
    line = refused(tmp_path / "data", code, **{name: value})
    assert f"{name}={value}" in line
    if name == "DTVN_EVENTS_CONFIG":
        assert not (tmp_path / "data").exists(), "nothing is made before it is checked"


@pytest.mark.exhaustive
def test_a_foreign_listen_address_is_reported_in_one_line(tmp_path: Path) -> None:
    assert "203.0.113.7" in refused(tmp_path / "data", DTVN_HOST="203.0.113.7")


@pytest.mark.exhaustive
def test_an_early_interrupt_leaves_no_process(fresh: Network) -> None:
    """Ctrl-C while the network is still being made."""
    fresh.launch(through_make=True)
    wait_until(lambda: (fresh.data / "up.lock").exists(), what="up has begun")
    processes = fresh.processes()
    assert fresh.process is not None
    os.killpg(fresh.process.pid, signal.SIGINT)
    wait_until_gone(processes, timeout=STOP * MARGIN)
    fresh.start()
    assert json.loads(fresh.credentials_file.read_text())["url"] == fresh.url
