"""An evening at the gates, with real processes: 5,000 imported tickets, and nodes that are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.importing.exports import ANSWERS, as_csv, pretix_row
from tests.integration.network import REPOSITORY, Network, network
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.exhaustive]

TICKETS = 5_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("rehearsal") / "data") as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def export(running: Network) -> Path:
    """A pretix export of 5,000 tickets, imported by the command."""
    path = running.data.parent / "fest_orders.csv"
    path.write_bytes(as_csv(*(pretix_row(Order_code=f"F{number:04}") for number in range(TICKETS))))
    done = run(running, "import_tickets", str(path), *ANSWERS)
    assert done.returncode == 0, done.stderr
    assert "5,000 rows read: 5,000 tickets in the network." in done.stdout
    return path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def run(running: Network, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=REPOSITORY,
        env=running.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def consumed(running: Network) -> int:
    with running.client() as client:
        return int(client.get("/api/v1/tickets?state=CONSUMED&limit=1").headers["X-Total-Count"])


def primary(running: Network) -> dict[str, Any]:
    """The primary by the status of the nodes; none for a moment during a view change."""

    def look() -> list[dict[str, Any]]:
        return [node for node in running.nodes().values() if node["is_primary"] and node["pid"]]

    return wait_until(look, what="a primary")[0]


def test_each_ticket_is_admitted_once_although_the_primary_is_killed(running: Network, export: Path) -> None:
    """Issue 2, "done when": a scan of 5,000 tickets finishes although the primary is killed with -9."""
    scan = subprocess.Popen(
        command("scan", str(export), *ANSWERS, "--gates", "8", "--duplicates", "0.2", "--json"),
        cwd=REPOSITORY,
        env=running.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_until(lambda: consumed(running) > TICKETS // 4, timeout=240, what="a quarter of the admissions")
        killed = primary(running)
        running.wait_for_title(f"validator {killed['id']} ").send_signal(signal.SIGKILL)
        wait_until(lambda: consumed(running) > TICKETS // 2, timeout=240, what="half of the admissions")
        running.wait_for_title("dtvn web").send_signal(signal.SIGKILL)
        out, _ = scan.communicate(timeout=300)
    finally:
        scan.kill()
        scan.wait(PATIENCE)
    result = json.loads(out)
    assert (result["proved"], result["faults"]) == (True, [])
    assert (result["tickets"], result["scans"]) == (TICKETS, TICKETS * 6 // 5)
    assert (result["admitted_once"], result["refused_again"]) == (TICKETS, TICKETS // 5)
    assert scan.returncode == 0
    wait_until(lambda: consumed(running) == TICKETS, what="the lists show all of it")


def test_every_node_has_the_same_tickets_afterwards(running: Network, export: Path) -> None:
    with running.client() as client:
        for number in (0, TICKETS // 2, TICKETS - 1):

            def found(number: int = number) -> list[dict[str, Any]]:
                paths = [f"/api/v1/nodes/{node}/tickets/F{number:04}-1" for node in running.nodes()]
                return [client.get(path).json().get("data", {}) for path in paths]

            wait_until(
                lambda: {ticket.get("State") for ticket in found()} == {"CONSUMED"},
                what="each node, the killed one too, has caught up",
            )
            states = found()
            assert states == [states[0]] * 4


def test_the_export_can_be_imported_again(running: Network, export: Path) -> None:
    done = run(running, "import_tickets", str(export), *ANSWERS)
    assert done.returncode == 0
    assert "5,000 rows read: 5,000 tickets in the network (5,000 had already been imported)." in done.stdout


def test_a_second_scan_is_refused_everywhere_and_not_proved(running: Network, export: Path) -> None:
    done = run(running, "scan", str(export), *ANSWERS, "--limit", "20", "--duplicates", "0")
    assert done.returncode == 1
    assert "NOT proved for 20 tickets" in done.stdout
