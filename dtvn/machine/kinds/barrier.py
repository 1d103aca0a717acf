"""barrier: an ordered operation that changes nothing."""

from __future__ import annotations

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class Barrier(Command, frozen=True):
    """An ordered operation without effect: a reader that waits for it sees all that was acknowledged before
    it (R18)."""


def rule(at: Context, operation: Operation, command: Barrier, ticket: Ticket | None) -> Result:
    """Nothing changes."""
    return reasons.OK, b""


KIND = Kind(name="barrier", command=Barrier, rule=rule, names="nothing", subject="log", plain=False)
