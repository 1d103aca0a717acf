"""`make up CONSENSUS=raft`: a network of machines that trust each other, from founding to certificate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.network import Network, network
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LABEL = "crash-only: a lying member is not tolerated"
VERIFIERS = (
    ("manage.py", "verify_certificate"),
    ("verifier/dtvn_verify.py", "certificate"),
)


def test_r44_a_raft_network_of_three_decides_with_two_and_says_what_it_is(tmp_path: Path) -> None:
    with network(tmp_path / "data", environment={"NODES": "3", "CONSENSUS": "raft"}) as running:
        running.start()
        wait_until_everyone_runs(running)
        label = {"consensus": "raft", "note": LABEL}
        with running.client() as client:
            assert client.get("/health").json().items() >= ({"status": "healthy"} | label).items()
            told = client.get("/api/v1/members").json()["data"]
            assert (told["consensus"], told["quorum"], told["liars"], told["crashes"]) == ("raft", 2, 0, 1)
            client.post("/api/v1/nodes/node2/stop").raise_for_status()
            wait_until(lambda: running.nodes()["node2"]["status"] == "stopped", what="two of three")
            for verb, status in (("seed", 200), ("validate", 200), ("consume", 200), ("consume", 409)):
                body = {} if verb == "seed" else {"ticket_id": "TICKET-001"}
                assert client.post(f"/api/v1/tickets/{verb}", json=body).status_code == status, verb
            for name, path in (("c.json", "tickets/TICKET-001/certificate"), ("e.json", "epochs")):
                (tmp_path / name).write_bytes(client.get(f"/api/v1/{path}").raise_for_status().content)
            client.post("/api/v1/nodes/node2/start").raise_for_status()
        wait_until_everyone_runs(running)
        for words in VERIFIERS:
            assert LABEL in proved(running, *words, tmp_path / "c.json", tmp_path / "e.json")
        refused_with_another_word(running)
        running.start()
        with running.client() as client:
            again = client.post("/api/v1/tickets/consume", json={"ticket_id": "TICKET-001"})
            assert (again.status_code, again.json()["code"]) == (409, "already_consumed")


def proved(running: Network, program: str, verb: str, certificate: Path, chain: Path) -> str:
    """What one verifier says of a certificate; two of three members signed it."""
    done = subprocess.run(
        [sys.executable, program, verb, str(certificate), "--genesis", str(chain)],
        env=running.environment(),
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 2 of 3 members, " in done.stdout
    return done.stdout


def refused_with_another_word(running: Network) -> None:
    """A start that asks for PBFT ends with a sentence, and changes nothing."""
    running.stop()
    genesis = (running.data / "cluster/genesis.bin").read_bytes()
    other = Network(running.data, port=running.port, environment={"CONSENSUS": "pbft"})
    other.launch()
    assert other.process is not None
    assert other.process.wait(4 * PATIENCE) == 1
    assert "agree by raft, which nothing changes, and CONSENSUS=pbft is asked for" in other.said()
    assert (running.data / "cluster/genesis.bin").read_bytes() == genesis
