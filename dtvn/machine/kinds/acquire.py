"""acquire: a lock is taken, if it is free."""

from __future__ import annotations

from dtvn.machine.context import Context
from dtvn.machine.fields import Command, Holder, Lease, LockName
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class Acquire(Command, frozen=True):
    """Take a lock, or extend the lease if `holder` has it."""

    name: LockName
    holder: Holder
    lease: Lease
    """Microseconds of batch time, from when this is ordered."""


def rule(at: Context, operation: Operation, command: Acquire, ticket: Ticket | None) -> Result:
    """As `lock` without a wait."""
    key, holder = (operation.event, command.name), (at.principal, command.holder)
    return at.locks.lock(key, holder, lease=command.lease, place=at.place, timestamp=at.timestamp)


KIND = Kind(
    name="acquire",
    command=Acquire,
    rule=rule,
    capability="lock",
    former="operate",
    names="event",
    subject="lock",
    plain=False,
)
