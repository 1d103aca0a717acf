"""One of three members comes back on an older disk, where no liar is tolerated (R11)."""

from __future__ import annotations

from typing import Any

from simulator.clock import MILLISECOND, SECOND
from simulator.run_plan import OperatorAction, Partition

OLDER_DISK: dict[str, Any] = {
    "members": 3,
    "partitions": (
        Partition(SECOND, (("r1",), ("r0", "r2"))),
        Partition(1_600 * MILLISECOND, (("r0",), ("r1", "r2", "client-0", "client-1"))),
        Partition(4 * SECOND, ()),
    ),
    "operator_actions": (
        OperatorAction(SECOND, "copy", "r2"),
        OperatorAction(1_650 * MILLISECOND, "revert", "r2"),
        OperatorAction(1_700 * MILLISECOND, "start", "r2"),
    ),
    "duration": 6 * SECOND,
}
"""r0 and r2 decide batches that r1 does not receive. Then r2 comes back on an earlier copy of its disk, and
only r1 answers it: no liar is tolerated, so only r0 knows what r2 promised (R11)."""


UNUSED_DISK: dict[str, Any] = {
    **OLDER_DISK,
    "partitions": (
        Partition(80 * MILLISECOND, OLDER_DISK["partitions"][0].groups),
        *OLDER_DISK["partitions"][1:],
    ),
    "operator_actions": (OperatorAction(60 * MILLISECOND, "copy", "r2"), *OLDER_DISK["operator_actions"][1:]),
}
"""The copy is from before r2's first vote: it looks like a disk that was never used."""
