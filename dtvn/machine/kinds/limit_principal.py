"""limit_principal: a principal gets other grants (R15)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine.context import Context
from dtvn.machine.fields import Command, PrincipalName
from dtvn.machine.granting import GRANTS_MAX
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.kinds.principal_changes import check_grants, needs, shown, sorted_grants
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import Grant


class LimitPrincipal(Command, frozen=True):
    """Replace a principal's grants; its key stays."""

    name: PrincipalName
    grants: Annotated[tuple[Grant, ...], msgspec.Meta(max_length=GRANTS_MAX)] = ()


def rule(at: Context, operation: Operation, command: LimitPrincipal, ticket: Ticket | None) -> Result:
    """Replace the grants."""
    return shown(at, command.name, at.principals.limit(command.name, command.grants))


KIND = Kind(
    name="limit_principal",
    command=LimitPrincipal,
    rule=rule,
    needs=needs,
    capability="admin",
    names="nothing",
    subject="principals",
    check=check_grants,
    compose=sorted_grants,
)
