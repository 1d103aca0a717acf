"""Processes that die are restarted, with the same answers. Real processes throughout."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.integration.network import REPOSITORY, Network
from tests.waiting import MARGIN, PATIENCE, allowed, wait_until
from validators.data_folder.locks import process_lives
from validators.processes.node_controller import SILENT_AFTER

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

# Promised times, in seconds.
NODE_BACK = 8.0
WORKER_BACK = 15.0
DEAD_PID_SHOWN = 1.0
ORPHAN_ENDS = 2.0


@pytest.fixture
def running(shared: Network) -> Network:
    """One network for all tests here."""
    return shared


def consume(client: httpx.Client, ticket_id: str) -> None:
    """Validate and consume; retried with the same nonce, as a gate does, until the outcome is known."""
    for verb in ("validate", "consume"):
        body = {"ticket_id": ticket_id, "nonce": f"{verb}-{ticket_id}"}

        def decided(verb: str = verb, body: dict[str, str] = body) -> bool:
            return client.post(f"/api/v1/tickets/{verb}", json=body).status_code == 200

        wait_until(decided, what=f"{verb} {ticket_id}")


def state_shown(client: httpx.Client, ticket_id: str) -> str:
    """As the platform's own copy has it, "" while it cannot be read."""
    answer = client.get(f"/api/v1/tickets/{ticket_id}")
    return str(answer.json()["data"]["State"]) if answer.status_code == 200 else ""


def wait_until_consumed(client: httpx.Client, node_id: str, ticket_id: str) -> None:
    """Wait until a node, which may lag, has what others acknowledged."""

    def consumed() -> bool:
        answer = client.get(f"/api/v1/nodes/{node_id}/tickets/{ticket_id}")
        return answer.status_code == 200 and answer.json()["data"]["State"] == "CONSUMED"

    wait_until(consumed, what=f"{ticket_id} consumed on {node_id}")


def everyone_runs(running: Network) -> bool:
    return all(node["status"] == "running" and node["pid"] for node in running.nodes().values())


def wait_until_everyone_runs(running: Network) -> None:
    wait_until(lambda: everyone_runs(running), what=lambda: f"all nodes running\n{running.said()}")


@pytest.mark.exhaustive
@pytest.mark.backend
def test_the_process_list_names_the_node_of_each_process(running: Network) -> None:
    wait_until_everyone_runs(running)
    worker = running.titled("celeryd: validators@")
    assert worker is not None
    for node_id, node in running.nodes().items():
        process = running.titled(f"validator {node_id} ")
        assert process is not None
        assert process.pid == node["pid"]
        assert process.ppid() == worker.pid, "a node is a child of a Celery worker"


def test_credentials_are_private_and_random(running: Network) -> None:
    facts = running.credentials_file.stat()
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert set(running.credentials) == {"url", "admin_user", "admin_password", "api_key"}
    assert running.credentials["url"] == running.url
    secrets = {running.credentials["admin_password"], running.credentials["api_key"]}
    assert all(len(secret) >= 20 for secret in secrets)
    assert not any(secret in running.log.read_text() for secret in secrets), "secrets are never printed"


def test_the_administrator_can_sign_in(running: Network) -> None:
    with httpx.Client(base_url=running.url, follow_redirects=True, trust_env=False, timeout=60) as client:
        page = client.get("/admin/login/")
        token = client.cookies[next(name for name in client.cookies if "csrf" in name)]
        assert page.status_code == 200
        answer = client.post(
            "/admin/login/?next=/admin/",
            data={
                "username": running.credentials["admin_user"],
                "password": running.credentials["admin_password"],
                "csrfmiddlewaretoken": token,
            },
        )
        assert answer.status_code == 200
        assert answer.url.path == "/admin/"


def test_a_foreign_host_name_is_refused(running: Network) -> None:
    answer = httpx.get(f"{running.url}/health", headers={"Host": "evil.example"}, trust_env=False, timeout=60)
    assert answer.status_code in {200, 400}
    answer = httpx.get(
        f"{running.url}/admin/login/", headers={"Host": "evil.example"}, trust_env=False, timeout=60
    )
    assert answer.status_code == 400


@pytest.mark.backend
@pytest.mark.parametrize("node_id", ["node0", pytest.param("node2", marks=pytest.mark.exhaustive)])
def test_a_killed_node_is_restarted_and_no_acknowledged_ticket_is_lost(
    running: Network, node_id: str
) -> None:
    wait_until_everyone_runs(running)
    old = running.nodes()[node_id]["pid"]
    with running.client() as client:
        consume(client, f"TICKET-{401 + int(node_id[-1])}")
        os.kill(old, signal.SIGKILL)
        wait_until(
            lambda: running.nodes()[node_id]["pid"] != old,
            timeout=allowed(DEAD_PID_SHOWN),
            what="no dead process is shown",
        )
        running.wait_for_title(f"validator {node_id} ", besides=old, timeout=NODE_BACK * MARGIN)
        before = wait_until(lambda: client.get("/ready").json().get("sequence"), what="the cluster commits")

        def caught_up() -> bool:
            answer = client.get(f"/api/v1/nodes/{node_id}/stats")
            return answer.status_code == 200 and answer.json()["data"]["sequence"] >= before

        wait_until(caught_up, timeout=NODE_BACK * MARGIN, what=f"{node_id} has what was committed")
        wait_until_consumed(client, node_id, f"TICKET-{401 + int(node_id[-1])}")
    said = f"{node_id} (process {old}) ended: signal 9 (SIGKILL); it is restarted"
    wait_until(lambda: said in running.log.read_text(), what="who keeps the network up is told its name")


@pytest.mark.backend
def test_a_killed_learner_follows_again(running: Network) -> None:
    learner = running.wait_for_title("learner learner")
    learner.kill()
    running.wait_for_title("learner learner", besides=learner.pid, timeout=NODE_BACK * MARGIN)
    with running.client() as client:
        consume(client, "TICKET-410")
        wait_until(
            lambda: state_shown(client, "TICKET-410") == "CONSUMED",
            timeout=NODE_BACK * MARGIN,
            what="the learner shows what was committed since",
        )


@pytest.mark.backend
def test_a_killed_worker_is_replaced_and_its_nodes_restarted(running: Network) -> None:
    wait_until_everyone_runs(running)
    old = {node["pid"] for node in running.nodes().values()}
    worker = running.titled("celeryd: validators@")
    assert worker is not None
    with running.client() as client:
        consume(client, "TICKET-411")
        worker.kill()

        def all_new() -> bool:
            now = [node["pid"] for node in running.nodes().values() if node["status"] == "running"]
            return len(now) == 4 and all(now) and not old & set(now)

        wait_until(all_new, timeout=WORKER_BACK * MARGIN, what="four new node processes")
        # They let go of their locks before the new ones could start; what is left is their last instant.
        wait_until(
            lambda: not any(process_lives(pid) for pid in old),
            timeout=allowed(ORPHAN_ENDS),
            what="no orphan is left",
        )
        consume(client, "TICKET-412")
        for node_id in running.nodes():
            wait_until_consumed(client, node_id, "TICKET-411")


@pytest.mark.backend
def test_a_killed_web_process_is_replaced_and_refuses_no_request(running: Network) -> None:
    web = running.titled("dtvn web")
    assert web is not None
    web.kill()
    # The listening socket stays open in `up`: this waits in its queue, and is answered.
    answer = httpx.get(f"{running.url}/health", timeout=WORKER_BACK * MARGIN, trust_env=False)
    assert answer.json()["status"] == "healthy"
    with running.client() as client:
        consume(client, "TICKET-413")


def test_no_node_ever_runs_twice(running: Network) -> None:
    """Two start requests for one node: the slot lock lets one process be it."""
    wait_until_everyone_runs(running)
    titles = running.titles()
    for node_id in running.nodes():
        assert sum(f"validator {node_id} " in title for title in titles) == 1


@pytest.mark.exhaustive
def test_a_person_can_stop_start_and_restart_a_node(running: Network) -> None:
    wait_until_everyone_runs(running)
    with running.client() as client:

        def status(node_id: str) -> str:
            return client.get(f"/api/v1/nodes/{node_id}").json()["status"]

        old = client.get("/api/v1/nodes/node3").json()["pid"]
        assert client.delete("/api/v1/nodes/node3").status_code == 200
        wait_until(lambda: status("node3") == "stopped", what="node3 stopped")
        wait_until(lambda: not process_lives(old), what="its process ended")
        consume(client, "TICKET-420")
        assert client.post("/api/v1/nodes", json={"node_id": "node3"}).status_code == 200
        wait_until(lambda: status("node3") == "running", what="node3 running")
        old = client.get("/api/v1/nodes/node3").json()["pid"]
        assert client.post("/api/v1/nodes/node3/restart").status_code == 200

        def another() -> bool:
            node = client.get("/api/v1/nodes/node3").json()
            return node["status"] == "running" and node["pid"] not in {None, old}

        wait_until(another, what="another process is node3")


@pytest.mark.exhaustive
def test_a_paused_node_is_unresponsive_then_killed_and_started(running: Network) -> None:
    """Alive but silent: no rival is started, the budget is not used, after 30 s it is replaced."""
    wait_until_everyone_runs(running)
    old = running.nodes()["node1"]["pid"]
    os.kill(old, signal.SIGSTOP)
    wait_until(lambda: running.nodes()["node1"]["status"] == "unresponsive", what="node1 unresponsive")
    assert running.nodes()["node1"]["pid"] == old, "no rival"
    with running.client() as client:
        consume(client, "TICKET-421")
    running.wait_for_title("validator node1 ", besides=old)
    wait_until_everyone_runs(running)
    wait_until(lambda: not process_lives(old), what="the paused process is gone")


def test_of_twenty_gates_exactly_one_admits_a_ticket(running: Network) -> None:
    wait_until_everyone_runs(running)
    with running.client() as client, ThreadPoolExecutor(20) as gates:
        body = {"ticket_id": "TICKET-490"}
        answers = list(
            gates.map(lambda _: client.post("/api/v1/tickets/validate", json=body).status_code, range(20))
        )
    assert sorted(answers) == [200] + [409] * 19


def test_a_second_up_on_the_same_folder_exits_with_a_message(running: Network) -> None:
    second = Network(running.data)
    second.log = Path(f"{running.log}.second")
    second.launch()
    assert second.process is not None
    assert second.process.wait(PATIENCE) != 0
    assert "already running" in second.log.read_text()
    assert running.credentials_file.exists()


@pytest.mark.exhaustive
def test_r10_a_node_run_by_hand_is_left_alone(running: Network) -> None:
    """`manage.py validator` on a node that was stopped here: no second process, and no crash counted."""
    wait_until_everyone_runs(running)
    with running.client() as client:
        client.delete("/api/v1/nodes/node3")
        wait_until(lambda: running.nodes()["node3"]["status"] == "stopped", what="node3 stopped")
        command = [sys.executable, "manage.py", "validator", "-data-dir", str(running.data), "-id", "node3"]
        with subprocess.Popen(
            command, cwd=REPOSITORY, env=running.environment(), stdout=subprocess.DEVNULL
        ) as by_hand:
            try:
                wait_until(
                    lambda: client.get("/api/v1/nodes/node3/stats").status_code == 200,
                    what="node3 answers",
                )
                client.post("/api/v1/nodes/node3/start")
                wait_until(
                    lambda: "another process" in running.nodes()["node3"].get("error", ""),
                    what="said that it runs elsewhere",
                )
                assert by_hand.poll() is None
            finally:
                by_hand.terminate()
                by_hand.wait(PATIENCE)
    wait_until_everyone_runs(running)


@pytest.mark.exhaustive
@pytest.mark.embedded_only
def test_a_locked_platform_database_stops_no_node(running: Network) -> None:
    """Heartbeats need no database: silence is told from a platform that cannot write."""
    wait_until_everyone_runs(running)
    before = {node_id: node["pid"] for node_id, node in running.nodes().items()}
    slots = [running.data / "run" / "slots" / "nodes" / f"{node_id}.lock" for node_id in before]
    path = running.data / "platform" / "platform.sqlite3"
    writer = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)  # others write all the time
    try:
        writer.execute("BEGIN IMMEDIATE")
        locked_at = time.time()
        with running.client() as client:
            consume(client, "TICKET-430")
        wait_until(
            lambda: min(slot.stat().st_mtime for slot in slots) > locked_at + 2 * SILENT_AFTER,
            what="all nodes show life while the database is locked",
        )
    finally:
        writer.close()
    wait_until_everyone_runs(running)
    assert {node_id: node["pid"] for node_id, node in running.nodes().items()} == before
