"""The keys whose signatures count where a state of the log is at hand: in a node, a learner, a recovery."""

from __future__ import annotations

from dtvn.machine.application import TicketApplication
from dtvn.protocol.consensus.membership import Membership


class KeyRing:
    """wire.Keys: members by epoch, and principals, from the replicated state (R15, R35). The members of the
    present epoch are known without that state: verified epoch change proofs name them."""

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
