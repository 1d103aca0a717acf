"""C44 to C47, X37 to X39 against real processes: one supervisor, its worker, its feed; the executables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.integration.network import REPOSITORY, wait_until_gone
from tests.integration.supervised import Supervised, listening, supervised
from tests.simulation.printed import RESULT_KEYS
from tests.waiting import MARGIN, PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SMALL = {
    "nodes": 7,
    "byzantine_nodes": 2,
    "tickets": 50,
    "duration_seconds": 30,
    "latency_ms": 10,
    "packet_loss_rate": 0.01,
    "enable_partitions": False,
}
LONG = {"nodes": 30, "byzantine_nodes": 9, "tickets": 1000, "duration_seconds": 600, "latency_ms": 20}
STOPS_WITHIN = 10.0
"""Seconds (C46)."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """A supervisor without a node: the simulator needs none."""
    with supervised(tmp_path_factory.mktemp("simulator") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def web(running: Supervised) -> Iterator[httpx.Client]:
    with running.client() as client:
        yield client


def status(web: httpx.Client) -> str:
    return str(web.get("/simulator").json()["status"])


def start_long(running: Supervised, web: httpx.Client) -> psutil.Process:
    """A run that does not end by itself in this test; the process that plays it."""
    started = web.post("/simulator/start", json=LONG)
    assert started.status_code == 200, started.text
    return running.wait_for_title(f"simulator run {started.json()['run_id']} ")


def wait_for_status(web: httpx.Client, wanted: str, *, timeout: float = PATIENCE) -> None:
    wait_until(lambda: status(web) == wanted, timeout=timeout, what=f"status {wanted}", pause=0.1)


def test_c44_the_simulator_is_idle_before_the_first_run(running: Supervised, web: httpx.Client) -> None:
    assert web.get("/simulator").json() == {"status": "idle", "output": []}
    nothing = web.get("/simulator/results")
    assert (nothing.status_code, nothing.json()["error"]) == (404, "no results available")
    assert web.post("/simulator/stop").status_code == 409
    assert web.get("/status").json()["simulator_status"] == "idle"


def test_c45_x37_a_run_is_reported_while_it_plays(running: Supervised, web: httpx.Client) -> None:
    with listening(running) as ears:
        assert ears.wait_for("connected")["simulator_status"] == "idle"
        started = web.post("/simulator/start", json=SMALL | {"tickets": 100})
        assert started.status_code == 200
        assert started.json()["status"] == "started"
        assert started.json()["config"].items() >= (SMALL | {"tickets": 100}).items()
        early = web.get("/simulator/results")
        assert early.status_code == 404 or status(web) == "complete"
        ears.wait_for("simulator_status", status="complete")
    assert [frame["status"] for frame in ears.of("simulator_status")] == ["running", "complete"]
    progress = [frame["progress"] for frame in ears.of("simulator_progress")]
    assert len(progress) >= 8
    tickets = [one["current_ticket"] for one in progress]
    assert tickets == sorted(set(tickets))
    assert (tickets[-1], progress[-1]["total_tickets"], progress[-1]["progress_percent"]) == (100, 100, 100)
    (results,) = (frame["results"] for frame in ears.of("simulator_results"))
    kinds = [frame["type"] for frame in ears.frames if frame["type"].startswith("simulator_")]
    assert kinds[-2:] == ["simulator_results", "simulator_status"]
    assert results["average_latency_ms"] > 0
    assert (results["total_tickets"], results["validated_tickets"]) == (100, results["successful_rounds"])
    assert 0 <= results["success_rate"] <= 100
    assert len(results) == 10
    shown = web.get("/simulator").json()
    assert shown["status"] == "complete"
    assert shown["results"] == web.get("/simulator/results").json() == results
    assert shown["progress"] == progress[-1]
    assert shown["output"] == [frame["line"] for frame in ears.of("simulator_output")]
    assert web.get("/simulator/runs").json()[0]["results"] == results


def test_c46_only_one_run_plays_and_a_stop_ends_it(running: Supervised, web: httpx.Client) -> None:
    for body in ({"nodes": 3}, {"nodes": 31}, {"byzantine_nodes": 3}, {"tickets": 0}, {"tickets": 1001}):
        assert web.post("/simulator/start", json=body).json()["error"]
        assert web.post("/simulator/start", json=body).status_code == 400
    assert web.post("/simulator/start", content=b"{").status_code == 400
    start_long(running, web)
    assert web.post("/simulator/start", content=b"").status_code == 409
    assert web.post("/simulator/stop").json() == {"status": "stopping"}
    wait_for_status(web, "idle", timeout=STOPS_WITHIN * MARGIN)
    assert web.get("/simulator/output").json()["output"][-1] == "Simulation cancelled"
    empty = web.post("/simulator/start", content=b"")
    assert empty.status_code == 200
    assert empty.json()["config"]["nodes"] == 7
    wait_for_status(web, "complete")


def test_a_run_survives_the_web_process_and_fails_with_its_own(
    running: Supervised, web: httpx.Client
) -> None:
    player = start_long(running, web)
    front = running.wait_for_title("dtvn web")
    front.kill()
    running.wait_for_title("dtvn web", besides=front.pid)
    wait_until(lambda: answers(web), what="the web process answers again")
    assert status(web) == "running"
    assert player.is_running()
    player.kill()
    wait_for_status(web, "error")
    assert web.get("/simulator").json()["error"] == "its process ended"
    assert web.post("/simulator/start", json=SMALL).status_code == 200, "a dead run is in nobody's way"
    wait_for_status(web, "complete")


@pytest.mark.exhaustive
def test_a_run_that_does_not_react_is_killed_at_its_stop(running: Supervised, web: httpx.Client) -> None:
    player = start_long(running, web)
    player.suspend()
    assert web.post("/simulator/stop").status_code == 200
    wait_for_status(web, "idle", timeout=STOPS_WITHIN * MARGIN)
    wait_until_gone([player], timeout=PATIENCE)


def answers(web: httpx.Client) -> bool:
    try:
        return web.get("/simulator").status_code == 200
    except httpx.TransportError:
        return False


def simulator(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bin/simulator", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_c47_the_executable_prints_what_the_seed_prints() -> None:
    refused = simulator("-nodes", "4", "-byzantine", "2")
    assert refused.returncode == 1
    assert {"2", "1", "4"} <= set(refused.stdout.replace(",", " ").split())
    played = simulator("-nodes", "7", "-byzantine", "2", "-tickets", "20", "-latency", "5ms")
    assert played.returncode == 0
    lines = played.stdout.splitlines()
    results = lines[lines.index("=== Simulation Results ===") + 1 :]
    assert [line.split(": ")[0] for line in results[:9]] == RESULT_KEYS


@pytest.mark.exhaustive
def test_c47_an_interrupted_executable_prints_results_and_exits_with_0() -> None:
    words = ["-nodes=30", "-byzantine=9", "-tickets=1000", "-duration=600s"]
    with subprocess.Popen(
        ["bin/simulator", *words], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env=unbuffered()
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Initialized"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(PATIENCE) == 0
    assert "Simulation interrupted" in rest
    assert "=== Simulation Results ===" in rest


def unbuffered() -> dict[str, str]:
    return os.environ | {"PYTHONUNBUFFERED": "1"}


@pytest.mark.exhaustive
def test_x38_x39_the_executable_refuses_and_repeats_a_seed() -> None:
    """Every limit is in tests/simulation/test_command.py; here is what only a process shows."""
    repeated = ("-nodes", "4", "-byzantine", "1", "-tickets", "20", "-latency", "5ms", "-seed", "1", "-json")
    calls = [("-nodes", "0"), ("-packet-loss", "1.5"), repeated, repeated]
    with ThreadPoolExecutor(len(calls)) as pool:
        *refusals, first, second = pool.map(lambda words: simulator(*words), calls)
    for refused in refusals:
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
        assert refused.stderr.strip()
    assert first.stdout == second.stdout
    results = json.loads(first.stdout)
    assert results["violation"] is None
    assert results["validated_tickets"] == results["successful_rounds"]
