"""Checkers notice a single thing that is broken: here disks and histories are changed by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from dtvn.protocol.consensus import messages as m
from simulator.checkers.at_most_once import AtMostOnce
from simulator.checkers.log_model import NONCE_KEPT
from simulator.cluster import Cluster
from simulator.violation import Violation
from simulator.world import Settings
from tests.consensus.world import MILLISECOND, SECOND, Callers, make

pytestmark = pytest.mark.ci

VALID_UNTIL = 1_800_000_000_000_000


def test_r6_a_disk_that_holds_another_entry_does_not_hold_the_acknowledged_one() -> None:
    cluster = make(1, gateways=1)
    callers = Callers(cluster.gateways[0], 2, pause=10 * MILLISECOND)
    cluster.world.run_for(2 * SECOND)
    callers.busy = False
    cluster.world.run_for(SECOND)
    disks = [node.disk.synced for node in cluster.world.nodes.values()]
    acknowledged = min(cluster.durability._acknowledged, *(len(disk.log) for disk in disks))
    cluster.durability._survives(acknowledged)
    for count, disk in enumerate(disks[:2]):
        record = disk.entry(acknowledged)
        assert record is not None
        disk.log[acknowledged - 1] = _changed(record, entry_hash=bytes(32))
        if count == 0:
            cluster.durability._survives(acknowledged)  # three of four
    with pytest.raises(Violation, match="only 2 of 3 disks hold it"):
        cluster.durability._survives(acknowledged)


def _changed(record: Any, **fields: Any) -> Any:
    change = dataclasses.replace if dataclasses.is_dataclass(record) else msgspec.structs.replace
    return change(record, **fields)


@pytest.mark.parametrize(("after", "forgotten"), [(0, False), (NONCE_KEPT, False), (NONCE_KEPT + 1, True)])
def test_r13_a_nonce_may_be_forgotten_an_hour_after_its_end_and_not_before(
    after: int, forgotten: bool
) -> None:
    cluster = Cluster(0, Settings(members=4, learners=0, gateways=0))
    cluster.history.timestamps |= {1: VALID_UNTIL, 2: VALID_UNTIL + after}
    checker = AtMostOnce(cluster.world, cluster.history)
    operation = m.Operation("seed", "default", "T-1", "actor", "m0", VALID_UNTIL, b"nonce", b"v")
    key = ("venue", "actor", b"nonce")
    checker._nonces[key] = (operation, "ok")
    checker._forget(key, 2, operation)
    assert (key not in checker._nonces) is forgotten
