"""The operation `recover`, which ends an epoch in which nothing can be ordered any more (R11).

Consensus does not order it: all members sign, offline, the log that ends with it, and replicas execute it as
a part of that log. It skips the checks of all other operations (session, nonce, time, permission), so it is
not a command: an operation of this kind by a principal is `malformed`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine import reasons
from dtvn.machine.membership import Memberships
from dtvn.machine.principals import Principals
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.membership import RECOVER, RECOVERY
from dtvn.protocol.consensus.messages import Bundle, Operation
from dtvn.protocol.signatures import PUBLIC_KEY_SIZE

Key = Annotated[bytes, msgspec.Meta(min_length=PUBLIC_KEY_SIZE, max_length=PUBLIC_KEY_SIZE)]


class Recover(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Payload of the operation `recover`."""

    keys: Annotated[tuple[Key, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]
    """The members' keys in the next epoch, in order of their index."""


def operation_for(keys: tuple[bytes, ...]) -> Operation:
    """The operation that gives the members these keys."""
    return Operation(
        RECOVER, "", "", actor="", entry="", valid_until=0, payload=canonical.encode(Recover(keys))
    )


def is_recovery(bundle: Bundle) -> bool:
    """Whether this is the members' own bundle, which holds the operation `recover`."""
    return bundle.principal == RECOVERY


def recover(
    operation: Operation, memberships: Memberships, principals: Principals, *, alone: bool, sequence: int
) -> tuple[str, bytes]:
    """Begin the next epoch with the same members and parameters and new keys; returns (code, state) like
    `reconfigure`."""
    if not alone:
        return reasons.NOT_ALONE, b""
    if operation.kind != RECOVER or operation.event or operation.ticket:
        return reasons.MALFORMED, b""
    try:
        command = canonical.decode(Recover, operation.payload)
    except canonical.CanonicalError:
        return reasons.MALFORMED, b""
    return memberships.recover(command.keys, principals, sequence=sequence)
