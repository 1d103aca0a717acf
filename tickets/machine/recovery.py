"""The operation that ends an epoch in which nothing can be ordered any more (R11).

Nobody orders it: all members sign, offline, the log that ends with it, and replicas execute it as a part of
that log. It goes past what every other operation passes (session, nonce, time, permission), so it is no
command: an operation of its kind by a principal is `malformed`, as it always was.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tickets.machine import reasons
from tickets.machine.membership import Memberships
from tickets.machine.principals import Principals
from validators import canonical, quorum
from validators.consensus.membership import RECOVER, RECOVERY
from validators.consensus.messages import Bundle, Operation
from validators.signatures import PUBLIC_KEY_SIZE

__all__ = ["Recover", "is_recovery", "operation_for", "recover"]

Key = Annotated[bytes, msgspec.Meta(min_length=PUBLIC_KEY_SIZE, max_length=PUBLIC_KEY_SIZE)]


class Recover(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Payload of the operation."""

    keys: Annotated[tuple[Key, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]
    """The members' keys in the next epoch, in order of their index."""


def operation_for(keys: tuple[bytes, ...]) -> Operation:
    """The operation that gives the members these keys."""
    return Operation(
        RECOVER, "", "", actor="", entry="", valid_until=0, payload=canonical.encode(Recover(keys))
    )


def is_recovery(bundle: Bundle) -> bool:
    """Whether a bundle stands for the members themselves."""
    return bundle.principal == RECOVERY


def recover(
    operation: Operation, memberships: Memberships, principals: Principals, *, alone: bool, sequence: int
) -> tuple[str, bytes]:
    """Begin the next epoch: same members and parameters, new keys; (code, state) as of `reconfigure`."""
    if not alone:
        return reasons.NOT_ALONE, b""
    if operation.kind != RECOVER or operation.event or operation.ticket:
        return reasons.MALFORMED, b""
    try:
        command = canonical.decode(Recover, operation.payload)
    except canonical.CanonicalError:
        return reasons.MALFORMED, b""
    return memberships.recover(command.keys, principals, sequence=sequence)
