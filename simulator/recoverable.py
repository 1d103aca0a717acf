"""How many lost votes stop a cluster, and whether those that are left may bring it back (R11)."""

from __future__ import annotations

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode


def losses(members: int, mode: Mode) -> int:
    """Number of lost votes from which on nothing can be ordered."""
    return members - quorum.quorum(members, mode) + 1


def is_recoverable(members: int, liars: int, mode: Mode) -> bool:
    """Whether enough honest members are left to vouch for their logs after so many lost theirs."""
    lost = losses(members, mode)
    return members - liars - lost >= lost


def disks_tolerated(members: int, mode: Mode) -> int:
    """How many members may lose their disks, or lie: with Raft as many as may be down (R44)."""
    crashes = quorum.crashes_tolerated(members, mode)
    return crashes if mode is Mode.RAFT else min(crashes, quorum.faults(members, mode))
