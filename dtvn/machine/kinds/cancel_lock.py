"""cancel_lock: somebody waits for a lock no longer."""

from __future__ import annotations

from dtvn.machine.context import Context
from dtvn.machine.fields import Command, Holder, LockName
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class CancelLock(Command, frozen=True):
    """Wait no longer for a lock, and give it back if it was granted in the meantime."""

    name: LockName
    holder: Holder


def rule(at: Context, operation: Operation, command: CancelLock, ticket: Ticket | None) -> Result:
    """Leave the queue, or give the lock back."""
    key, holder = (operation.event, command.name), (at.principal, command.holder)
    return at.locks.cancel(key, holder, place=at.place, timestamp=at.timestamp)


KIND = Kind(
    name="cancel_lock",
    command=CancelLock,
    rule=rule,
    capability="lock",
    names="event",
    subject="lock",
)
