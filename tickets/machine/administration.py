"""Operations on the cluster itself: who may sign requests (R15)."""

from __future__ import annotations

from tickets.machine import reasons
from tickets.machine.commands import (
    PRINCIPALS,
    AddPrincipal,
    Command,
    LimitPrincipal,
    RevokePrincipal,
    RotatePrincipal,
)
from tickets.machine.principals import Principals, ShownPrincipal
from validators import canonical
from validators.genesis import Principal

__all__ = ["KINDS", "administer", "shown_principal"]

KINDS = PRINCIPALS


def administer(principals: Principals, command: Command, timestamp: int) -> tuple[str, bytes]:
    """Outcome code and state of one of KINDS, by a signer that may administer."""
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
    """What the outcome of one of KINDS shows; raise CanonicalError when it shows nothing."""
    return canonical.decode(ShownPrincipal, state)
