"""open_session: a principal opens a session (R12)."""

from __future__ import annotations

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class OpenSession(Command, frozen=True):
    """Open a session (R12); names no ticket."""


def rule(at: Context, operation: Operation, command: OpenSession, ticket: Ticket | None) -> Result:
    """The session is named by the operation's place."""
    at.open_session(at.place, at.principal)
    return reasons.OK, b""


KIND = Kind(
    name="open_session", command=OpenSession, rule=rule, names="nothing", subject="session", plain=False
)
