"""One of three members comes back on an older disk, where no liar is tolerated; in one world another one has
lost its disk (R11)."""

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


OLDER_AND_LOST_DISK: dict[str, Any] = {
    **OLDER_DISK,
    "partitions": (
        OLDER_DISK["partitions"][0],
        Partition(1_600 * MILLISECOND, (("r0",), ("r1", "r2", "client-0", "client-1"))),
        Partition(1_640 * MILLISECOND, ()),
    ),
    "operator_actions": (
        OperatorAction(SECOND, "copy", "r2"),
        OperatorAction(1_610 * MILLISECOND, "copy", "r0"),
        OperatorAction(1_620 * MILLISECOND, "lose", "r0"),
        OperatorAction(1_630 * MILLISECOND, "revert", "r2"),
        OperatorAction(1_650 * MILLISECOND, "start", "r0"),
        OperatorAction(1_700 * MILLISECOND, "start", "r2"),
        OperatorAction(4 * SECOND, "revert", "r0"),
        OperatorAction(4_050 * MILLISECOND, "confirm", "r0"),
        OperatorAction(4_100 * MILLISECOND, "start", "r0"),
    ),
}
"""As OLDER_DISK, but r0, which alone knows what r2 promised, has lost its disk when r2 asks. It gets the disk
back at last, with the operator's word: r2 may have found out meanwhile that its own disk is an older one."""
