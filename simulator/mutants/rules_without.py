"""Rules and pitfalls without a planted bug, and why: not built yet, or not part of the core."""

from __future__ import annotations

NOT_PLANTED: dict[str, str] = {
    "R38": "leases stand apart (they are not built)",
    "R39": "the rule about the simulator itself",
    "R46": "of items beside the log: tests/sync and tests/overlay play them without its rules",
}
