"""Operations on the cluster itself: who may sign requests (R15)."""

from __future__ import annotations

from dtvn.machine import reasons
from dtvn.machine.commands import (
    AddPrincipal,
    Command,
    LimitPrincipal,
    RevokePrincipal,
    RotatePrincipal,
)
from dtvn.machine.principals import Principals, ShownPrincipal
from dtvn.protocol import canonical
from dtvn.protocol.genesis import Principal


def administer(principals: Principals, command: Command, timestamp: int) -> tuple[str, bytes]:
    """Applies a command of a kind in PRINCIPALS, whose signer may administer; returns (code, state)."""
    if isinstance(command, AddPrincipal):
        code = principals.add(Principal(command.name, command.public_key, command.grants))
        name = command.name
    elif isinstance(command, RotatePrincipal):
        until = timestamp + command.overlap if command.overlap else 0
        name, code = command.name, principals.rotate(command.name, command.public_key, until)
    elif isinstance(command, LimitPrincipal):
        name, code = command.name, principals.limit(command.name, command.grants)
    elif isinstance(command, RevokePrincipal):
        known = principals.get(command.name)
        code = principals.revoke(command.name)
        if code == reasons.OK and known is not None:
            return code, canonical.encode(ShownPrincipal("", known))
        return code, b""
    else:
        raise TypeError(f"{type(command).__name__} does not administer")
    listed = principals.get(name)
    if code != reasons.OK or listed is None:
        return code, b""
    return code, canonical.encode(ShownPrincipal(principals.wire(name), listed))


def shown_principal(state: bytes) -> ShownPrincipal:
    """Decodes the outcome state of a kind in PRINCIPALS; raises CanonicalError if it does not decode."""
    return canonical.decode(ShownPrincipal, state)
