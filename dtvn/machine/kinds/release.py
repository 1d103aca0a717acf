"""release: a lock is given back."""

from __future__ import annotations

from dtvn.machine.context import Context
from dtvn.machine.fields import Command, Holder, LockName
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class Release(Command, frozen=True):
    """Give a lock back before its lease ends."""

    name: LockName
    holder: Holder


def rule(at: Context, operation: Operation, command: Release, ticket: Ticket | None) -> Result:
    """As `unlock` without a token."""
    key, holder = (operation.event, command.name), (at.principal, command.holder)
    return at.locks.unlock(key, holder, place=at.place, timestamp=at.timestamp)


KIND = Kind(
    name="release",
    command=Release,
    rule=rule,
    capability="lock",
    former="operate",
    names="event",
    subject="lock",
    plain=False,
)
