"""The scanner of the documentation while all is killed in mid-scan: scanner, web process, primary.

Nobody is refused by a scan of theirs whose answer was lost, and each code opens once.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.integration.documented_scanner import Scanner
from tests.integration.held_answers import AFTER, BEFORE, Proxy, proxy
from tests.integration.network import Network, network
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(900)]

CODES = [f"SECRET-{number:04}" for number in range(12)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network with an event, whose tickets have codes that are no ids."""
    with network(tmp_path_factory.mktemp("scanner") / "data") as started:
        started.start()
        with started.client() as client:
            event = {"name": "Fest", "zone": "Europe/Berlin"}
            client.put("/api/v1/events/fest", json=event).raise_for_status()
            operations = [
                {"op": "issue", "ticket_id": f"T-{number}", "event": "fest", "barcodes": [code]}
                for number, code in enumerate(CODES)
            ]
            answer = client.post("/api/v1/tickets/batch", json={"operations": operations})
            assert answer.status_code == 200, answer.text
            assert answer.json()["data"]["counts"] == {"200": len(CODES)}, answer.text
        yield started


@pytest.fixture
def before(running: Network) -> Iterator[Proxy]:
    with proxy(running.url) as made:
        yield made


@pytest.fixture
def gate(running: Network, before: Proxy, tmp_path: Path) -> Iterator[Callable[[str], Scanner]]:
    """Starts the scanner of a gate, which ends with the test."""
    with ExitStack() as stack:

        def start(name: str) -> Scanner:
            made = Scanner(tmp_path, before.url, running.credentials["api_key"], name)
            stack.callback(made.kill)
            return made

        yield start


def kill_primary(running: Network) -> None:
    """With kill -9, as soon as there is one."""

    def primary() -> int:
        return next((node["pid"] or 0 for node in running.nodes().values() if node["is_primary"]), 0)

    os.kill(wait_until(primary, what="a primary"), signal.SIGKILL)


def kill_web(running: Network) -> None:
    """With kill -9; another one comes."""
    web = running.wait_for_title("web")
    web.kill()
    psutil.wait_procs([web], timeout=PATIENCE)


def kill_all(running: Network, scanner: Scanner) -> None:
    """The scanner and every process of the platform, with kill -9; none of them comes back by itself."""
    scanner.kill()
    running.end_whatever_is_left()
    running.credentials_file.unlink(missing_ok=True)


def interrupt(before: Proxy, scanner: Scanner, code: str, moment: str, kill: Callable[[], None]) -> None:
    """A guest shows a code, and something is killed when the scan is at this moment."""
    held = before.hold(code, moment)
    scanner.show(code)
    held.wait()
    kill()
    held.release()


def test_no_kill_in_mid_scan_refuses_a_guest_or_opens_twice(
    running: Network, before: Proxy, gate: Callable[[str], Scanner]
) -> None:
    north = gate("north")
    first: dict[str, str] = {}
    codes = iter(CODES)
    for moment in (AFTER, BEFORE):
        interrupt(before, north, code := next(codes), moment, north.kill)
        north.start()
        first[code] = north.outcome(code)
        assert first[code].startswith("(before the restart) GREEN"), north.shown
    for kill in (kill_web, kill_primary):
        for moment in (AFTER, BEFORE):
            interrupt(before, north, code := next(codes), moment, partial(kill, running))
            first[code] = north.outcome(code)
    interrupt(before, north, last := next(codes), AFTER, partial(kill_all, running, north))
    north.start()
    assert "(before the restart) WAIT: " in north.said(), north.shown
    running.start()
    for code in (last, *codes):
        north.show(code)
        first[code] = north.outcome(code)
    assert first.keys() == set(CODES)
    assert [line for line in first.values() if "GREEN" not in line] == []
    check_that_nobody_enters_twice(running, north, gate("south"))


def check_that_nobody_enters_twice(running: Network, north: Scanner, south: Scanner) -> None:
    """All codes were admitted at north, once each; what is no code opens nothing."""
    for scanner in (north, south):
        for code in CODES:
            scanner.show(code)
            assert "RED already_consumed: entered " in scanner.outcome(code), scanner.shown
    for code in ("SECRET-9999", "T-1"):  # no code, and an id, which opens nothing in this event
        south.show(code)
        assert south.outcome(code).startswith("RED barcode_not_found: ")
    green = Counter(line.split()[0] for line in north.shown + south.shown if "GREEN" in line)
    assert green == Counter(f"...{code[-4:]}" for code in CODES)
    with running.client() as client:
        tickets = client.get("/api/v1/tickets?event=fest&state=CONSUMED").json()["data"]
    assert len(tickets) == len(CODES)
