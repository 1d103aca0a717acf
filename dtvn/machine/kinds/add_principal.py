"""add_principal: a signer of requests is added (R15)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, PrincipalName, PublicKey
from dtvn.machine.granting import GRANTS_MAX
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.kinds.principal_changes import check_grants, check_key, needs, shown, sorted_grants
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import Grant, Principal


class AddPrincipal(Command, frozen=True):
    """Add a principal, a signer of requests (R15); names no ticket, like the three commands below."""

    name: PrincipalName
    public_key: PublicKey
    grants: Annotated[tuple[Grant, ...], msgspec.Meta(max_length=GRANTS_MAX)] = ()


def check(command: AddPrincipal) -> None:
    """Grants and key."""
    check_grants(command)
    check_key(command.public_key)


def rule(at: Context, operation: Operation, command: AddPrincipal, ticket: Ticket | None) -> Result:
    """Add it, unless its name or key is taken."""
    if at.memberships.knows(command.public_key):
        return reasons.KEY_IN_USE, b""
    added = Principal(command.name, command.public_key, command.grants)
    return shown(at, command.name, at.principals.add(added))


KIND = Kind(
    name="add_principal",
    command=AddPrincipal,
    rule=rule,
    needs=needs,
    capability="admin",
    names="nothing",
    subject="principals",
    check=check,
    compose=sorted_grants,
)
