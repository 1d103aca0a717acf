"""A worker slot that runs a node: when its log begins anew and when it continues."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from dtvn.node.logs import BEGUN, node_logger
from dtvn.node.run import EXIT_FAILED
from tests.platform.test_reconcile import HOLD
from tests.waiting import wait_until
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import SlotLock
from validators.models import ManagedNode
from validators.processes import node_task, parent
from validators.processes.lease import Lease
from validators.services import nodes
from validators.services.node_logs import last_lines

pytestmark = pytest.mark.django_db(transaction=True)  # the lease's threads have connections of their own


@pytest.fixture
def slot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataFolder]:
    """A data folder with one node; effects of a slot on its process, the test's here, are disabled."""
    settings.DATA = tmp_path
    folder = DataFolder(tmp_path)
    folder.create()
    monkeypatch.setattr(node_task, "setproctitle", lambda title: None)
    monkeypatch.setattr(node_task, "name_log_lines", lambda node_id: None)
    monkeypatch.setattr(parent, "now_busy", lambda: None)
    monkeypatch.setattr(node_task, "signal_at_parents_death", lambda number: None)
    root = logging.getLogger()
    before = root.handlers[:]
    nodes.register_nodes(["node0"])
    yield folder
    root.handlers[:] = before


def one_life(folder: DataFolder, said: str) -> None:
    """A worker accepts the start request; the node logs a line and ends."""
    ManagedNode.objects.update(start_token="token")
    node_directory = folder.nodes / "node0"

    def run(should_stop: object, beat: object) -> int:
        node_logger(node_directory).info(said)
        return 1

    assert "ended with code 1" in node_task.occupy_slot("node0", "token", run)


def words() -> list[str]:
    return [line.rsplit(" ", 1)[1] for line in last_lines("node0", 100)]


def test_a_log_continues_after_a_crash_and_is_new_after_a_requested_start(slot: DataFolder) -> None:
    one_life(slot, "first")
    assert words() == [BEGUN, "first"]
    one_life(slot, "second")
    assert words() == [BEGUN, "first", "second"], "what it said before it ended is still there"
    nodes.restart_node("node0")
    one_life(slot, "third")
    assert words() == [BEGUN, "third"]
    nodes.register_nodes(["node0"])
    one_life(slot, "fourth")
    assert words() == [BEGUN, "fourth"], "another life of the platform"


@pytest.mark.parametrize("order", [nodes.stop_node, nodes.restart_node])
def test_a_report_and_the_look_at_what_is_desired_are_one_statement(
    slot: DataFolder, order: Callable[[str], ManagedNode]
) -> None:
    ManagedNode.objects.update(start_token="token", desired="running", running_generation=F("generation"))
    row = ManagedNode.objects.filter(node_id="node0")
    lock = SlotLock(slot.node_lock("node0"))
    lease = Lease(row.get(), token="token", lock=lock)
    with CaptureQueriesContext(connection) as asked:
        seen = [lease._tell(None), lease._tell({"sequence": 7}), lease._tell(None)]
    assert (seen, len(asked)) == ([True, True, True], 3)
    order("node0")
    assert not lease._tell({"sequence": 8}), "the order is seen with the next report"
    assert not lease._tell(None)
    assert row.get().report == {"sequence": 7}
    lock.release()


def test_the_row_of_a_later_start_is_left_alone(slot: DataFolder) -> None:
    """A process that was replaced ends, and writes neither its report nor its end over the next one's."""
    ManagedNode.objects.update(start_token="token", desired="running")
    row = ManagedNode.objects.filter(node_id="node0")
    lock = SlotLock(slot.node_lock("node0"))
    lease = Lease(row.get(), token="token", lock=lock)
    lease.claim()
    row.update(start_token="newer", claimed_token="newer", pid=4, host="elsewhere", report={"sequence": 9})
    newer = row.values().get()
    lease.beat({"sequence": 7})
    wait_until(lease.should_stop, what="the process is told to stop")
    lease.end("ended", 1)
    assert row.values().get() == newer
    lock.release()


def lived(run: Callable[[Callable[[], bool], Any], int]) -> tuple[str, str, dict[str, Any], int | None]:
    """What the worker's log has of a life, and what the row has of its end."""
    ManagedNode.objects.update(start_token="token")
    said = node_task.occupy_slot("node0", "token", run)
    row = ManagedNode.objects.get(node_id="node0")
    return said, row.exit_reason, row.report, row.pid


def test_the_row_says_why_a_process_ended(slot: DataFolder) -> None:
    def fails(should_stop: object, beat: object) -> int:
        logging.getLogger("dtvn.node").error("no disk")
        return 4

    def breaks(should_stop: object, beat: object) -> int:
        raise ValueError("boom")

    def stops(should_stop: Callable[[], bool], beat: object) -> int:
        nodes.stop_node("node0")
        wait_until(should_stop, what="it is told to stop")
        return 0

    assert lived(lambda *_: 1)[1:] == ("ended with code 1", {"exit_code": 1}, None)
    assert lived(fails)[1:] == ("ended with code 4: no disk", {"exit_code": 4}, None)
    assert lived(breaks)[1:] == ("ValueError: boom", {"exit_code": EXIT_FAILED}, None)
    assert lived(stops) == ("stopped", "", {"exit_code": 0}, None)


@pytest.mark.parametrize("other", [{"start_token": "newer"}, {"desired": "stopped"}])
def test_a_request_that_is_no_longer_wanted_runs_nothing(slot: DataFolder, other: dict[str, str]) -> None:
    ManagedNode.objects.update(**({"start_token": "token"} | other))
    before = ManagedNode.objects.values().get(node_id="node0")
    assert node_task.occupy_slot("node0", "token", lambda *_: pytest.fail("it runs")) == "superseded"
    assert ManagedNode.objects.values().get(node_id="node0") == before


def test_a_node_that_runs_elsewhere_is_not_run_twice(slot: DataFolder) -> None:
    ManagedNode.objects.update(start_token="token")
    words = [sys.executable, "-c", HOLD, str(slot.node_lock("node0"))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        said = node_task.occupy_slot("node0", "token", lambda *_: pytest.fail("it runs"))
        assert said == "already running"
        holder.communicate()
    assert ManagedNode.objects.get(node_id="node0").claimed_token == ""
