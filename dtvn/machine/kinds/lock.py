"""lock: a lock is taken or waited for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine.context import Context
from dtvn.machine.fields import WAIT_MAX, Command, Holder, Lease, LockName
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class Lock(Command, frozen=True):
    """As `Acquire`; while another one holds the lock, wait for it in its queue."""

    name: LockName
    holder: Holder
    lease: Lease
    """Microseconds of batch time, from when the lock is granted."""
    wait: Annotated[int, msgspec.Meta(ge=0, le=WAIT_MAX)] = 0
    """Microseconds of batch time, from when this is ordered; 0: do not wait."""


def rule(at: Context, operation: Operation, command: Lock, ticket: Ticket | None) -> Result:
    """Take the lock or join its queue."""
    key, holder = (operation.event, command.name), (at.principal, command.holder)
    return at.locks.lock(
        key, holder, lease=command.lease, wait=command.wait, place=at.place, timestamp=at.timestamp
    )


KIND = Kind(
    name="lock",
    command=Lock,
    rule=rule,
    capability="lock",
    names="event",
    subject="lock",
)
