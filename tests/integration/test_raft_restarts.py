"""Raft members that start again: with one of three gone, on an older disk, beside a copy; and stop on purpose
(R11, R44)."""

from __future__ import annotations

import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Issue
from dtvn.protocol.quorum import Mode
from tests.integration.node_cluster import Cluster, operation, running_cluster, submit, validator
from tests.integration.test_raft import admit
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MEMBERS = 3


def state(cluster: Cluster, gateway: Gateway, index: int) -> str:
    return str((cluster.status(gateway, index) or {}).get("state", ""))


def ledger_of(cluster: Cluster, index: int) -> Path:
    return cluster.node(index).ledger


def put_back(copy: Path, folder: Path) -> None:
    """Into the same files, so that their inodes stay, with the witness."""
    for file in folder.iterdir():
        if file.name.startswith("ledger.") and not (copy / file.name).exists():
            file.unlink()
    for file in copy.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())


def test_r44_with_one_of_three_gone_the_others_restart_one_after_the_other(tmp_path: Path) -> None:
    with running_cluster(tmp_path, MEMBERS, consensus=Mode.RAFT) as (cluster, gateway):
        admit(gateway, "A")
        cluster.kill(2)
        admit(gateway, "B")
        for index in (0, 1):
            cluster.kill(index)
            cluster.start(index)
            admit(gateway, f"C{index}")
            assert state(cluster, gateway, index) == "voting"
        cluster.start(2)
        admit(gateway, "D")
        cluster.settled()


def test_r44_a_disk_and_its_witness_put_back_follow_where_one_other_knows(tmp_path: Path) -> None:
    with running_cluster(tmp_path, MEMBERS, consensus=Mode.RAFT) as (cluster, gateway):
        admit(gateway, "A")
        cluster.stop(1)
        shutil.copytree(ledger_of(cluster, 1), tmp_path / "older")
        cluster.start(1)
        admit(gateway, "B")
        cluster.stop(2)
        admit(gateway, "C")
        cluster.stop(1)
        put_back(tmp_path / "older", ledger_of(cluster, 1))
        cluster.start(1)
        wait_until(
            lambda: state(cluster, gateway, 1) == "following",
            timeout=PATIENCE,
            what=lambda: f"it follows\n{cluster.outputs()}",
        )
        cluster.start(2)
        admit(gateway, "D")
        wait_until(
            lambda: state(cluster, gateway, 1) == "voting",
            timeout=3 * PATIENCE,
            what=lambda: f"it votes again\n{cluster.outputs()}",
        )
        cluster.settled()


@pytest.mark.exhaustive
def test_r44_a_copy_started_beside_the_original_gets_no_vote_and_changes_nothing(tmp_path: Path) -> None:
    with running_cluster(tmp_path, MEMBERS, consensus=Mode.RAFT) as (cluster, gateway):
        admit(gateway, "A")
        shutil.copytree(tmp_path, tmp_path.with_name("copy"), dirs_exist_ok=True)
        with (tmp_path / "copy.out").open("wb") as log:
            copy = validator(
                *(
                    "-id",
                    "node0",
                    "-data-dir",
                    str(tmp_path.with_name("copy")),
                    "-port",
                    str(free_ports(1)[0]),
                ),
                log=log,
            )
            try:
                wait_until(
                    lambda: "follower" in (tmp_path / "copy.out").read_text(),
                    timeout=PATIENCE,
                    what="the copy follows",
                )
                for number in range(5):
                    admit(gateway, f"B{number}")
                assert [state(cluster, gateway, index) for index in range(MEMBERS)] == ["voting"] * MEMBERS
                assert "stepped_down" not in cluster.outputs(), "what is for the leader went to it"
            finally:
                copy.terminate()
                copy.wait(PATIENCE)


class Gate:
    """Asks without a pause, and notes its longest wait."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.longest = 0.0
        self.failed: list[str] = []
        self._gateway, self._name = gateway, name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name, began = f"{self._name}-{number}", time.monotonic()
            [result] = submit(self._gateway, [operation(Issue(), name, nonce=name.encode())], wait=PATIENCE)
            self.longest = max(self.longest, time.monotonic() - began)
            if result.code != "ok":
                self.failed.append(result.code)
            self._stop.wait(0.01)

    def end(self) -> float:
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self.failed
        return self.longest


@pytest.mark.parametrize(("mode", "members"), [(Mode.RAFT, 3), (Mode.PBFT, 4)])
def test_r29_r44_no_gate_waits_for_a_time_out_when_a_leader_stops_on_purpose(
    tmp_path: Path, mode: Mode, members: int
) -> None:
    """300 ms at most on a quiet machine; on any, nobody misses a silent leader."""
    with running_cluster(tmp_path, members, consensus=mode) as (cluster, gateway):
        admit(gateway, "A")
        gate = Gate(gateway, "G")
        began = max(cluster.status_of(gateway, index)["view"] for index in cluster.processes)
        for _ in range(2):
            views = [cluster.status_of(gateway, index)["view"] for index in cluster.processes]
            leader = max(views) % members
            cluster.stop(leader)
            cluster.start(leader)
            wait_until(
                lambda leader=leader: state(cluster, gateway, leader) == "voting",
                timeout=PATIENCE,
                what=lambda: f"it is back\n{cluster.outputs()}",
            )
        assert gate.end() < PATIENCE
        handed = "hands_over" if mode is Mode.RAFT else "reason=primary_stops"
        said = "".join(map(cluster.output, range(members)))
        assert said.count(handed) >= 2
        missed = map(int, re.findall(r"suspected view=(\d+) reason=silent_primary", said))
        assert all(view < began for view in missed), "but while the members started"
