"""unlock: a lease ends."""

from __future__ import annotations

from dtvn.machine.context import Context
from dtvn.machine.fields import Command, Holder, LockName, Token
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class Unlock(Command, frozen=True):
    """End the lease that has this token."""

    name: LockName
    holder: Holder
    token: Token


def rule(at: Context, operation: Operation, command: Unlock, ticket: Ticket | None) -> Result:
    """End the present lease."""
    key, holder = (operation.event, command.name), (at.principal, command.holder)
    return at.locks.unlock(key, holder, token=command.token, place=at.place, timestamp=at.timestamp)


KIND = Kind(
    name="unlock",
    command=Unlock,
    rule=rule,
    capability="lock",
    names="event",
    subject="lock",
)
