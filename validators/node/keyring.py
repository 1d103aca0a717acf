"""Whose signatures count, in a node's or a learner's process."""

from __future__ import annotations

from tickets.machine import TicketApplication
from validators.consensus.membership import Membership

__all__ = ["KeyRing"]


class KeyRing:
    """wire.Keys: members by epoch and principals, as the replicated state has them (R15, R35). Of the epoch
    that the node lives in they are known without a state of it: verified hand-overs name them."""

    def __init__(self, application: TicketApplication, present: Membership) -> None:
        self._application = application
        self._present = present

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys."""
        if epoch != self._present.epoch:
            return self._application.member_key(epoch, index)
        members = self._present.members
        return members[index].public_key if 0 <= index < len(members) else None

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        return self._application.principal_key(name)
