"""A web process or worker that is suspended, not dead, is detected by its silence and replaced."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.integration.network import Network, network
from tests.integration.test_process_life import consume, state_shown, wait_until_everyone_runs
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.exhaustive]

KILL_AFTER = "10"
"""Seconds of silence; 30 where nobody says otherwise."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    environment = {"NODES": "1", "DTVN_KILL_SILENT_AFTER": KILL_AFTER}
    with network(tmp_path_factory.mktemp("paused") / "data", environment=environment) as started:
        started.start()
        with started.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
        yield started


def replaced(running: Network, title: str, name: str) -> None:
    """Suspend the process with this title, and wait until another has its place."""
    old = running.wait_for_title(title)
    old.send_signal(signal.SIGSTOP)
    wait_until(
        lambda: f"{name} runs but does not respond" in running.log.read_text(),
        what=lambda: f"said\n{running.said()}",
    )
    running.wait_for_title(title, besides=old.pid)
    wait_until(lambda: f"{name} did not respond for" in running.log.read_text(), what="it is told")
    assert not old.is_running()


def test_a_suspended_web_process_is_replaced(running: Network) -> None:
    replaced(running, "dtvn web", "web")
    with running.client() as client:
        consume(client, "TICKET-001")


def test_a_suspended_worker_is_replaced_and_its_nodes_with_it(running: Network) -> None:
    wait_until_everyone_runs(running)
    old = running.nodes()["node0"]["pid"]
    replaced(running, "celeryd: validators@", "validators")
    wait_until(lambda: running.nodes()["node0"]["pid"] not in (None, old), what="another process is node0")
    with running.client() as client:
        consume(client, "TICKET-002")


def test_a_suspended_background_worker_is_replaced_and_the_learner_with_it(running: Network) -> None:
    learner = running.wait_for_title("learner learner")
    replaced(running, "celeryd: background@", "background")
    running.wait_for_title("learner learner", besides=learner.pid)
    with running.client() as client:
        consume(client, "TICKET-003")
        wait_until(
            lambda: state_shown(client, "TICKET-003") == "CONSUMED",
            what="the learner shows what was committed since",
        )
