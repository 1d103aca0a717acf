"""`manage.py doctor` beside four real nodes: healthy, one paused, two dead, and no cluster at all."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from dtvn.gateway import Gateway
from tests.integration.node_cluster import Cluster, running_cluster
from tests.waiting import wait_until
from validators.services import network

pytestmark = [pytest.mark.integration, pytest.mark.django_db(databases=["default", "learner"])]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Gateway]]:
    with running_cluster(tmp_path_factory.mktemp("doctor") / "data", 4) as made:
        yield made


@pytest.fixture(autouse=True)
def used(running: tuple[Cluster, Gateway]) -> Iterator[None]:
    network.use(running[1])
    yield
    network.use(None)


def doctor() -> tuple[int, dict[str, Any]]:
    """Exit status and the object printed."""
    out, status = StringIO(), 0
    try:
        call_command("doctor", "--json", "--for", "0.5", stdout=out)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, json.loads(out.getvalue())


def healthy() -> bool:
    status, report = doctor()
    return status == 0 and report["healthy"]


def wrongs(trouble: str) -> str:
    status, report = doctor()
    found = " ".join(each["wrong"] for each in report["findings"] if each["trouble"] == trouble)
    assert status == (1 if report["findings"] else 0)
    return found


def test_a_healthy_cluster_is_called_healthy(running: tuple[Cluster, Gateway]) -> None:
    wait_until(healthy, what=lambda: f"healthy: {doctor()}")


def test_a_paused_node_is_one_that_cannot_be_reached(running: tuple[Cluster, Gateway]) -> None:
    process = running[0].processes[3]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        wait_until(
            lambda: "node3 cannot be reached" in wrongs("not_registered"), what=lambda: f"node3: {doctor()}"
        )
        assert not wrongs("no_quorum")
        wait_until(lambda: "breaker of node3 is open" in wrongs("breaker_open"), what="its open breaker")
    finally:
        os.kill(process.pid, signal.SIGCONT)
    wait_until(healthy, what=lambda: f"healthy again: {doctor()}")


def test_two_dead_nodes_are_no_quorum(running: tuple[Cluster, Gateway]) -> None:
    cluster = running[0]
    cluster.kill(2, 3)
    try:
        wait_until(lambda: "No quorum: 2 of 4 reachable, 3 needed" in wrongs("no_quorum"), what="no quorum")
    finally:
        cluster.start(2, 3)
    wait_until(healthy, what=lambda: f"healthy again: {doctor()}")


def test_without_a_cluster_there_is_nothing_to_look_at(tmp_path: Path, settings: Any) -> None:
    network.use(None)
    settings.DATA = tmp_path
    with pytest.raises(CommandError, match="could not look: This data folder has no cluster yet") as refused:
        call_command("doctor")
    assert refused.value.returncode == 2
