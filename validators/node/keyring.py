"""Whose signatures count, in a node's or a learner's process."""

from __future__ import annotations

from tickets.machine import TicketApplication

__all__ = ["KeyRing"]


class KeyRing:
    """wire.Keys: members by epoch and principals, as the replicated state has them (R15, R35)."""

    def __init__(self, application: TicketApplication) -> None:
        self._application = application

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys."""
        return self._application.member_key(epoch, index)

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        return self._application.principal_key(name)
