"""Checkers notice a single thing that is broken: here disks and histories are changed by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from simulator.violation import Violation
from tests.consensus.world import MILLISECOND, SECOND, Callers, make

pytestmark = pytest.mark.ci


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
