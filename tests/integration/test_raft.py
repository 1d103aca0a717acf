"""Real processes that agree by Raft: leaders are killed, a ledger is lost; nothing acknowledged is (R44)."""

from __future__ import annotations

import shutil
import time
from itertools import count
from pathlib import Path

import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue
from dtvn.protocol.quorum import Mode
from tests.disks import fill, mounted
from tests.integration.node_cluster import Cluster, operation, running_cluster, submit
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MEMBERS = 5
DISK_BYTES = 24 * 1024 * 1024


def leader(cluster: Cluster, gateway: Gateway) -> int:
    """The member that leads the newest term that a running one is in."""
    views = [cluster.status_of(gateway, index)["view"] for index in cluster.processes]
    return max(views) % MEMBERS


def admit(gateway: Gateway, ticket: str) -> float:
    """Issue and admit a ticket; how long it took, in seconds."""
    began = time.monotonic()
    for command in (Issue(), Admit()):
        nonce = f"{ticket} {type(command).__name__}".encode()
        wait_until(
            lambda command=command, nonce=nonce: (
                submit(gateway, [operation(command, ticket, nonce=nonce)], wait=3.0)[0].code == "ok"
            ),
            what=f"{ticket} is decided",
        )
    return time.monotonic() - began


def equal(cluster: Cluster, gateway: Gateway, tickets: list[str]) -> None:
    """All running members executed everything, and hold the same state of each ticket."""
    cluster.settled()
    for ticket in tickets:
        states = [cluster.ticket(gateway, index, ticket)["ticket"] for index in cluster.processes]
        assert states == [states[0]] * len(states)
        assert states[0]["State"] == "CONSUMED"


def test_r44_five_members_survive_two_crashes_of_leaders(tmp_path: Path) -> None:
    with running_cluster(tmp_path, MEMBERS, consensus=Mode.RAFT) as (cluster, gateway):
        tickets = ["A"]
        admit(gateway, "A")
        for name in ("B", "C"):
            killed = leader(cluster, gateway)
            cluster.kill(killed)
            admit(gateway, name)
            tickets.append(name)
            assert leader(cluster, gateway) != killed
        gone = sorted(set(range(MEMBERS)) - set(cluster.processes))
        cluster.start(*gone)
        wait_until(
            lambda: all(cluster.status(gateway, index).get("state") == "voting" for index in gone),
            timeout=PATIENCE,
            what=lambda: f"both vote again\n{cluster.outputs()}",
        )
        admit(gateway, "D")
        equal(cluster, gateway, [*tickets, "D"])


@pytest.mark.exhaustive
def test_r44_three_crashes_stop_it_and_a_return_ends_that(tmp_path: Path) -> None:
    with running_cluster(tmp_path, MEMBERS, consensus=Mode.RAFT) as (cluster, gateway):
        admit(gateway, "A")
        cluster.kill(0, 1, 2)
        [result] = submit(gateway, [operation(Issue(), "B", nonce=b"B")], wait=3.0)
        assert result.code in ("outcome_unknown", "unavailable")
        cluster.start(0, 1, 2)
        admit(gateway, "C")
        equal(cluster, gateway, ["A", "C"])


@pytest.mark.exhaustive
def test_r11_r44_a_member_that_lost_its_ledger_follows_and_votes_again(tmp_path: Path) -> None:
    """An idle leader orders the empty batches that it waits for."""
    with running_cluster(tmp_path, MEMBERS, consensus=Mode.RAFT) as (cluster, gateway):
        admit(gateway, "A")
        lost = (leader(cluster, gateway) + 1) % MEMBERS
        cluster.stop(lost)
        cluster.lose_ledger(lost)
        cluster.start(lost)
        assert cluster.status_of(gateway, lost)["state"] == "following"
        admit(gateway, "B")
        wait_until(
            lambda: cluster.status(gateway, lost).get("state") == "voting",
            timeout=2 * PATIENCE,
            what=lambda: f"it votes again\n{cluster.outputs()}",
        )
        equal(cluster, gateway, ["A", "B"])


@pytest.mark.exhaustive
@pytest.mark.embedded_only
def test_r8_a_raft_leader_whose_disk_is_full_is_replaced_and_returns(tmp_path: Path) -> None:
    with Cluster(tmp_path / "data", 3, consensus=Mode.RAFT) as cluster:
        disk, aside = cluster.folder.nodes / "node0", tmp_path / "aside"
        shutil.copytree(disk, aside)
        with mounted(disk, DISK_BYTES):
            shutil.copytree(aside, disk, dirs_exist_ok=True)
            cluster.start()
            gateway = cluster.gateway()
            cluster.ready(gateway)
            admit(gateway, "A")
            filler = fill(disk)
            numbers = count()
            wait_until(
                lambda: (
                    admit(gateway, f"B-{next(numbers)}")
                    and cluster.status(gateway, 0)["state"] == "disk_full"
                ),
                what=lambda: f"node0 is full: {cluster.outputs()}",
            )
            admit(gateway, "C")
            assert cluster.status_of(gateway, 1)["view"] > 0, "another one leads"
            filler.unlink()
            wait_until(
                lambda: cluster.status(gateway, 0).get("state") == "voting", what=lambda: cluster.outputs()
            )
            admit(gateway, "D")
            equal(cluster, gateway, ["A", "B-0", "C", "D"])
            cluster.stop(*cluster.processes)
