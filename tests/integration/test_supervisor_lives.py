"""How a supervisor begins and ends: flags, one node, a key, signals. Each life is its own process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.network import REPOSITORY, Network, wait_until_gone
from tests.integration.supervised import V1, eventually, listening, open_socket, readable, supervised
from tests.waiting import MARGIN, PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "supervisor", *flags],
        cwd=REPOSITORY,
        env=Network(Path("unused")).environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_help_of_the_supervisor_lists_the_flags() -> None:
    answer = run("-h")
    assert answer.returncode == 0
    for flag in (
        "web-port",
        "web-addr",
        "data-dir",
        "validator",
        "simulator",
        "static-dir",
        "auto-start",
        "api-key",
    ):
        assert f"-{flag}" in answer.stdout


@pytest.mark.parametrize(
    ("flags", "code", "phrase"),
    [
        (("-bogus",), 2, "-bogus"),
        (("-web-port", "abc"), 2, "abc"),
        (("-web-port=0",), 2, "-web-port 0"),
        (("-auto-start", "31"), 2, "-auto-start 31"),
        (("-static-dir", "/nowhere/at/all"), 2, "/nowhere/at/all"),
        (("-validator", "/nowhere/validator"), 1, "/nowhere/validator"),
    ],
)
def test_invalid_supervisor_flags_are_refused(flags: tuple[str, ...], code: int, phrase: str) -> None:
    answer = run(*flags)
    assert answer.returncode == code
    assert phrase in answer.stderr


@pytest.mark.exhaustive
def test_c39_c40_a_single_node_is_replaced_by_a_larger_cluster(tmp_path: Path) -> None:
    with supervised(tmp_path / "data") as s, s.client() as api:
        assert "node_id is required" in api.post("/nodes", json={}).json()["error"]
        answer = api.post("/nodes", json={"node_id": "node0", "is_primary": True, "is_bootstrap": True})
        assert (answer.status_code, answer.json()) == (200, {"status": "starting", "node_id": "node0"})
        assert list(s.statuses()) == ["node0"], "listed at once"
        s.wait_until_running(1)
        before = s.nodes()["node0"]
        assert api.post("/nodes/node0/restart").json() == {"status": "restarting", "node_id": "node0"}
        eventually(
            lambda: s.nodes()["node0"]["started_at"] > before["started_at"], within=20, what="a new process"
        )
        s.wait_until_running(1)
        after = s.nodes()["node0"]
        assert (after["port"], after["api_port"]) == (before["port"], before["api_port"])
        wait_until(lambda: api.post("/tickets/seed").status_code == 200, what="it commits alone")
        assert api.post("/tickets/validate", json={"ticket_id": "TICKET-001"}).status_code == 200
        another_cluster(s, api)
        processes = s.processes()
        assert s.process is not None
        s.process.send_signal(signal.SIGINT)
        wait_until_gone(processes, timeout=12 * MARGIN)
        assert s.process.wait(PATIENCE) == 0


@pytest.mark.exhaustive
def test_the_same_command_again_keeps_a_cluster_that_has_grown(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with supervised(data, "-auto-start", "1") as s, s.client() as api:
        s.wait_until_running(1)
        wait_until(lambda: seed(api), what="it commits alone")
        genesis = (data / "cluster" / "genesis.bin").read_bytes()
        assert api.post("/nodes", json={"node_id": "node1"}).status_code == 200
        wait_until(
            lambda: members(api) == ["node0", "node1"],
            what="the newcomer is a member",
        )
        s.stop()
        s.start()
        s.wait_until_running(2)
        assert not (data / "earlier").exists()
        assert (data / "cluster" / "genesis.bin").read_bytes() == genesis
        wait_until(lambda: api.get("/tickets/TICKET-001").status_code == 200, what="its tickets are there")
        wait_until(
            lambda: api.post("/tickets/validate", json={"ticket_id": "TICKET-001"}).status_code in (200, 409),
            what="the two decide",
        )


def members(api: httpx.Client) -> list[str]:
    """Ids of the members, empty while no node answers."""
    answer = api.get("/members")
    return [each["id"] for each in answer.json()["data"]["members"]] if answer.status_code == 200 else []


def another_cluster(s: Network, api: httpx.Client) -> None:
    """Another number of nodes: the cluster of one is put aside whole, and every client begins anew."""
    with listening(s) as ears:  # type: ignore[arg-type]
        assert api.post("/cluster/start", json={"node_count": 2}).status_code == 200
        ears.wait_for("cluster_status", status="running", nodes_started=2)
        (kept,) = (s.data / "earlier").iterdir()
        assert (kept / "cluster" / "genesis.bin").exists()
        assert (kept / "nodes" / "node0" / "identity" / "node.key").exists()
        empty = wait_until(lambda: readable(api, "/tickets"), what="the new copy can be read")
        assert empty is not None
        assert empty.json()["data"] == [], "a fresh cluster"
        seeded = wait_until(lambda: seed(api), what="two commit")
        assert (seeded["unique"], len(seeded["nodes"])) == (500, 2)
        assert ears.wait_for("tickets_seeded", nodes=2)["count"] == 1000, (
            "the earlier cluster's may come late"
        )


def seed(api: httpx.Client) -> dict[str, object]:
    answer = api.post("/tickets/seed")
    return answer.json()["data"] if answer.status_code == 200 else {}


def test_c43_x28_x29_a_key_guards_an_auto_started_and_killed_supervisor(tmp_path: Path) -> None:
    key = "only-this-one"
    with supervised(tmp_path / "data", "-auto-start", "4", "-api-key", key) as s:
        with httpx.Client(base_url=s.url, trust_env=False, timeout=PATIENCE) as anybody:
            for path in ("nodes", "status", "stats", "tickets", "simulator", "cluster/start", "nothing/here"):
                answer = anybody.get(f"{V1}/{path}")
                assert (answer.status_code, answer.json()) == (401, {"error": "Invalid or missing API key"})
            assert anybody.post(f"{V1}/cluster/start", json={}).status_code == 401
            wrong = {"X-API-Key": "wrong", "Authorization": f"Bearer {key}"}
            assert anybody.get(f"{V1}/nodes", headers=wrong).status_code == 401
            assert anybody.get(f"{V1}/nodes", headers={"Authorization": f"Bearer {key}"}).status_code == 200
            far = {"Host": "tickets.example", "X-API-Key": key}
            assert anybody.get(f"{V1}/nodes", headers=far).status_code == 200, "a key is good at any name"
            nothing = anybody.get(f"{V1}/nothing/here", headers=far)
            assert (nothing.status_code, "success" in nothing.json()) == (404, False)
            assert anybody.get("/health").status_code == 200
        rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
        with pytest.raises(InvalidStatus), open_socket(s.url, **rebound):
            pass
        with s.client(key=key) as api:
            wait_until(
                lambda: [node["status"] for node in api.get("/nodes").json()] == ["running"] * 4,
                timeout=30 * MARGIN,
                what=lambda: f"four nodes without a request\n{s.said()}",
            )
            wait_until(lambda: seed(api), what="it commits")
            for verb in ("validate", "consume"):
                assert api.post(f"/tickets/{verb}", json={"ticket_id": "TICKET-001"}).status_code == 200
            own = httpx.Client(
                base_url=f"http://127.0.0.1:{api.get('/nodes/node1').json()['api_port']}",
                trust_env=False,
                timeout=PATIENCE,
            )
            with own:
                assert own.get(f"{V1}/stats").status_code == 401, "nodes ask for the same key"
                assert own.get(f"{V1}/stats", headers={"X-API-Key": key}).status_code == 200
        with listening(s) as ears:
            # The cluster's word follows its nodes' within a second, so it may still be on its way.
            if ears.wait_for("connected")["cluster_status"] != "running":
                ears.wait_for("cluster_status", status="running", nodes_started=4)
        assert key not in s.log.read_text()
        processes = s.processes()
        assert not any(key in title for title in s.titles())
        assert s.process is not None
        s.process.kill()
        wait_until_gone(processes, timeout=10 * MARGIN)
