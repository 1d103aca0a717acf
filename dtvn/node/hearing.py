"""When this node last heard each other member: by the Status that every member sends to all (R30).

A link that is up says less: the kernel of a host keeps the connections of a process that hangs, and those
over a cable that was pulled a moment ago.
"""

from __future__ import annotations

import time

from dtvn.node.member import MemberProcess


def seconds_since_heard(node: MemberProcess) -> dict[str, float | None]:
    """Seconds since the newest Status of each other member, by id; None: none came in this epoch, or since
    the core was built. Empty while the core takes no turns (its disk is full, or it has stopped)."""
    if node.disk_full or node.halted:
        return {}
    now, heard = node.core.state.now.monotonic, node.core.member_views
    return {
        member.id: round(max(0, now - heard[index].heard) / 1e9, 3) if index in heard else None
        for index, member in enumerate(node.genesis.members)
        if index != node.index
    }


def silent_seconds(node: MemberProcess) -> dict[tuple[str], float]:
    """The same as a metric: a member that was never heard is silent since this process began."""
    since_start = max(0.0, time.time() - node.started)
    return {
        (name,): since_start if seconds is None else seconds
        for name, seconds in seconds_since_heard(node).items()
    }
