"""The drill of docs/operate/backup.md: a backup under load, the loss of everything, and open doors again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.network import Network, manage, network, wait_until_gone
from tests.integration.test_disasters import Gate
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(900)]

GATES = 2
UNDER_LOAD = 10
"""Admissions by the gates before the backup begins."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path / "data") as started:
        started.start()
        yield started


@pytest.mark.exhaustive
def test_after_the_loss_of_everything_no_admitted_ticket_is_admitted_again(
    running: Network, tmp_path: Path
) -> None:
    certificate, chain = proof_of_one_admission(running, tmp_path)
    admitted = backed_up_under_load(running, tmp_path / "night.tar.gz")
    lose_everything(running)
    said = manage(tmp_path, "restore", "night.tar.gz", "--data-dir", "restored")
    assert "4 of 4 members are restored here" in said
    assert "everything from before the backup is" in said
    manage(tmp_path, "verify_learner", "--data-dir", "restored")
    for line in said.splitlines():
        if line.startswith("  manage.py "):
            manage(tmp_path, *line.split()[1:])
    with network(tmp_path / "restored-continued") as again:
        again.start()
        with again.client() as client:
            for ticket in ("OLD-1", *admitted):
                answer = client.post("/api/v1/tickets/admit", json={"ticket_id": ticket})
                assert (answer.status_code, answer.json()["code"]) == (409, "already_consumed"), ticket
        key = again.credentials["api_key"]
    assert key == certificate_key(tmp_path)
    verified = manage(tmp_path, "verify_certificate", str(certificate), "--genesis", str(chain))
    assert "OLD-1" in verified


def proof_of_one_admission(running: Network, place: Path) -> tuple[Path, Path]:
    """Files: the certificate of an admission, and the chain of its cluster; the first key is kept beside."""
    (place / "key").write_text(running.credentials["api_key"])
    with running.client() as client:
        assert client.post("/api/v1/tickets", json={"ticket_id": "OLD-1"}).status_code == 200
        assert client.post("/api/v1/tickets/admit", json={"ticket_id": "OLD-1"}).status_code == 200

        def fetched(path: str, name: str) -> Path | None:
            answer = client.get(path)
            if answer.status_code != 200:
                return None
            (place / name).write_bytes(answer.content)
            return place / name

        certificate = wait_until(
            lambda: fetched("/api/v1/tickets/OLD-1/certificate", "old.cert"), what="the certificate"
        )
        chain = wait_until(lambda: fetched("/api/v1/epochs", "old.chain"), what="the epoch chain")
    assert certificate is not None
    assert chain is not None
    return certificate, chain


def certificate_key(place: Path) -> str:
    return (place / "key").read_text()


def backed_up_under_load(running: Network, out: Path, **environment: str) -> list[str]:
    """Tickets that were admitted before the backup began; gates go on while it is made."""
    gates = [Gate(running, f"gate{number}") for number in range(GATES)]
    for gate in gates:
        gate.start()
    try:
        wait_until(lambda: sum(len(gate.admitted) for gate in gates) >= UNDER_LOAD, what="admissions")
        before = [ticket for gate in gates for ticket in list(gate.admitted)]
        words = ("backup", "--data-dir", str(running.data), "--out", str(out), "--keys")
        said = manage(out.parent, *words, **environment)
        assert "It covers everything acknowledged before this backup began." in said
        assert sum(len(gate.admitted) for gate in gates) > len(before), "the gates went on"
    finally:
        for gate in gates:
            gate.ending.set()
        for gate in gates:
            gate.join(3 * PATIENCE)
    assert [each for gate in gates for each in gate.surprises] == []
    return before


def lose_everything(running: Network) -> None:
    """kill -9 of all processes at once; then the data folder is gone."""
    processes: list[psutil.Process] = running.processes()
    running.end_whatever_is_left()
    wait_until_gone(processes, timeout=PATIENCE)
    shutil.rmtree(running.data)
