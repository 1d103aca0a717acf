"""grant: all members of the epoch give a principal further grants (R15)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, Signature
from dtvn.machine.granting import GrantStatement, carry_out
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.kinds.principal_changes import check_grants, needs, shown
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.quorum import MEMBERS_MAX


class GrantPrincipal(Command, frozen=True):
    """Give a principal further grants, signed by all members of the epoch (R15)."""

    statement: GrantStatement
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
    """In order of the members' index."""


def check(command: GrantPrincipal) -> None:
    """The grants."""
    check_grants(command.statement)


def rule(at: Context, operation: Operation, command: GrantPrincipal, ticket: Ticket | None) -> Result:
    """Add the grants; a batch carries out one such operation."""
    if at.granting:
        return reasons.BUSY, b""
    at.granting = True
    code = carry_out(
        command.statement,
        command.signatures,
        cluster=at.memberships.cluster_id,
        now=at.memberships.now,
        principals=at.principals,
        nonces=at.nonces,
        place=at.place,
        timestamp=at.timestamp,
        verify=at.memberships.verify,
    )
    return shown(at, command.statement.name, code)


KIND = Kind(
    name="grant",
    command=GrantPrincipal,
    rule=rule,
    needs=lambda command: needs(command.statement),
    names="nothing",
    subject="principals",
    check=check,
)
