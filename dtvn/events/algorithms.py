"""The algorithms by which a cluster decides, for those who only name them: what else is configured would cost
each start of a command a third of a megabyte."""

from __future__ import annotations

from enum import StrEnum


class Algorithm(StrEnum):
    """How the votes of several members become one decision."""

    MAJORITY = "majority"
    UNANIMOUS = "unanimous"
    RAFT = "raft"
    PBFT = "pbft"


OFFERED = tuple(Algorithm)
"""The algorithms by which some cluster decides; commands, REST and pages take their lists from here."""
ORDERED = (Algorithm.RAFT, Algorithm.PBFT)
"""The algorithms that end in the members' log: its entry orders what they decided, and each is offered where
the members agree on the log by it."""
