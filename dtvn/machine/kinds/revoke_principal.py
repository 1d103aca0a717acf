"""revoke_principal: a principal is removed (R15)."""

from __future__ import annotations

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, PrincipalName
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.principals import ShownPrincipal
from dtvn.machine.ticket import Ticket
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation


class RevokePrincipal(Command, frozen=True):
    """Remove a principal permanently; its name may be added again with another key."""

    name: PrincipalName


def rule(at: Context, operation: Operation, command: RevokePrincipal, ticket: Ticket | None) -> Result:
    """Remove it; the outcome shows what it was, without a name on the wire."""
    known = at.principals.get(command.name)
    code = at.principals.revoke(command.name)
    if code == reasons.OK and known is not None:
        return code, canonical.encode(ShownPrincipal("", known))
    return code, b""


KIND = Kind(
    name="revoke_principal",
    command=RevokePrincipal,
    rule=rule,
    capability="admin",
    names="nothing",
    subject="principals",
)
