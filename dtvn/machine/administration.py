"""Operations on the cluster itself: who may sign requests (R15)."""

from __future__ import annotations

from dtvn.machine import granting, reasons
from dtvn.machine.commands import (
    AddPrincipal,
    Command,
    GrantPrincipal,
    LimitPrincipal,
    RevokePrincipal,
    RotatePrincipal,
)
from dtvn.machine.membership import Memberships
from dtvn.machine.nonces import NonceTable
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
    return code, _shown(principals, name) if code == reasons.OK else b""


def grant(
    command: GrantPrincipal,
    memberships: Memberships,
    principals: Principals,
    nonces: NonceTable,
    *,
    place: tuple[int, int],
    timestamp: int,
) -> tuple[str, bytes]:
    """Applies the operation `grant`; returns (code, state). `place`: (sequence, index) of the operation."""
    code = granting.carry_out(
        command.statement,
        command.signatures,
        cluster=memberships.cluster_id,
        now=memberships.now,
        principals=principals,
        nonces=nonces,
        place=place,
        timestamp=timestamp,
        verify=memberships.verify,
    )
    return code, _shown(principals, command.statement.name) if code == reasons.OK else b""


def _shown(principals: Principals, name: str) -> bytes:
    """Encoded ShownPrincipal, b"" if it is not listed."""
    listed = principals.get(name)
    return b"" if listed is None else canonical.encode(ShownPrincipal(principals.wire(name), listed))


def shown_principal(state: bytes) -> ShownPrincipal:
    """Decodes the outcome state of a kind in PRINCIPALS, or of `grant`; raises CanonicalError."""
    return canonical.decode(ShownPrincipal, state)
