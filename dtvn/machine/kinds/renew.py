"""renew: a lease is extended."""

from __future__ import annotations

from dtvn.machine.context import Context
from dtvn.machine.fields import Command, Holder, Lease, LockName, Token
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class Renew(Command, frozen=True):
    """Extend the lease that has this token."""

    name: LockName
    holder: Holder
    token: Token
    lease: Lease


def rule(at: Context, operation: Operation, command: Renew, ticket: Ticket | None) -> Result:
    """Extend the present lease."""
    key, holder = (operation.event, command.name), (at.principal, command.holder)
    return at.locks.renew(key, holder, token=command.token, lease=command.lease, timestamp=at.timestamp)


KIND = Kind(
    name="renew",
    command=Renew,
    rule=rule,
    capability="lock",
    names="event",
    subject="lock",
)
