"""Whose silence is no cut: processes of this platform that have ended, have just begun, or hang."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.protocol.durations import SECOND
from tests.platform.test_folder import end, hold_elsewhere
from validators.data_folder.folder import DataFolder
from validators.models import ManagedNode, NodeStatus
from validators.network_watch.own_processes import HANGS_AFTER, STARTS_FOR, OwnProcesses
from validators.services import nodes

pytestmark = pytest.mark.django_db


@pytest.fixture
def lock(tmp_path: Path, settings: Any) -> Path:
    settings.DATA = tmp_path
    folder = DataFolder(tmp_path)
    folder.create()
    nodes.register_nodes(["node0"])
    ManagedNode.objects.update(status=NodeStatus.RUNNING)
    return folder.node_lock("node0")


@pytest.fixture
def beat(lock: Path) -> Iterator[Callable[[], None]]:
    """Another process holds the lock; its heart beats when told."""
    holder = hold_elsewhere(lock)
    yield lambda: os.utime(lock)
    end(holder)


def test_a_process_runs_while_its_heart_beats(lock: Path, beat: Callable[[], None]) -> None:
    own = OwnProcesses()
    assert own.look(SECOND) == {"node0": True}
    assert own.look(SECOND + HANGS_AFTER) == {"node0": True}
    assert own.look(2 * SECOND + HANGS_AFTER) == {"node0": None}, "it hangs, which is neither"
    beat()
    assert own.look(3 * SECOND + HANGS_AFTER) == {"node0": True}


def test_one_whose_lock_nobody_holds_has_ended_though_its_row_runs(lock: Path) -> None:
    own = OwnProcesses()
    assert own.look(SECOND) == {"node0": True}, "on another host there is no lock"
    end(hold_elsewhere(lock))
    assert own.look(2 * SECOND) == {"node0": False}


def test_one_that_has_just_begun_is_given_time(lock: Path, beat: Callable[[], None]) -> None:
    own = OwnProcesses()
    ManagedNode.objects.update(status=NodeStatus.STARTING)
    assert own.look(SECOND) == {"node0": False}
    ManagedNode.objects.update(status=NodeStatus.RUNNING)
    assert own.look(2 * SECOND) == {"node0": False}
    beat()
    assert own.look(SECOND + STARTS_FOR) == {"node0": True}
