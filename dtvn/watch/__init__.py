"""The health of a cluster: what its members report, and one verdict on it. Pure.

report      what one member says of itself, read once and bounded
agreement   how many members agree, and whether they decide: one sentence, its level and its reasons
"""

from dtvn.watch.agreement import (
    CHANGE_USUAL,
    HEARD_WITHIN,
    MEMBERS_CLOCKS,
    NO_CLUSTER,
    NO_CUT,
    Agreement,
    Clock,
    Cut,
    Level,
    is_reachable,
    verdict,
    wrong_clocks,
)
from dtvn.watch.lines import Line, Lines
from dtvn.watch.report import MemberReport, OpenSequence, read_report

__all__ = [
    "CHANGE_USUAL",
    "HEARD_WITHIN",
    "MEMBERS_CLOCKS",
    "NO_CLUSTER",
    "NO_CUT",
    "Agreement",
    "Clock",
    "Cut",
    "Level",
    "Line",
    "Lines",
    "MemberReport",
    "OpenSequence",
    "is_reachable",
    "read_report",
    "verdict",
    "wrong_clocks",
]
