"""rotate_principal: a principal gets another key (R15)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import OVERLAP_MAX, Command, PrincipalName, PublicKey
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.kinds.principal_changes import check_key, shown
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation


class RotatePrincipal(Command, frozen=True):
    """Give a principal another key."""

    name: PrincipalName
    public_key: PublicKey
    overlap: Annotated[int, msgspec.Meta(ge=0, le=OVERLAP_MAX)] = 0
    """Microseconds of batch time for which the old key remains valid; 0 if it may be stolen."""


def check(command: RotatePrincipal) -> None:
    """The key."""
    check_key(command.public_key)


def rule(at: Context, operation: Operation, command: RotatePrincipal, ticket: Ticket | None) -> Result:
    """Replace the key, unless it is taken."""
    if at.memberships.knows(command.public_key):
        return reasons.KEY_IN_USE, b""
    until = at.timestamp + command.overlap if command.overlap else 0
    return shown(at, command.name, at.principals.rotate(command.name, command.public_key, until))


KIND = Kind(
    name="rotate_principal",
    command=RotatePrincipal,
    rule=rule,
    capability="admin",
    names="nothing",
    subject="principals",
    check=check,
)
