"""How many lost votes stop a cluster, and whether those that are left may bring it back (R11)."""

from __future__ import annotations

from dtvn.protocol import quorum


def losses(members: int) -> int:
    """Number of lost votes from which on nothing can be ordered."""
    return members - quorum.quorum(members) + 1


def is_recoverable(members: int, liars: int) -> bool:
    """Whether enough honest members are left to vouch for their logs after so many lost theirs."""
    return members - liars - losses(members) >= losses(members)
