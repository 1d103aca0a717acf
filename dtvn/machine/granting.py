"""The operation `grant`: all members of the epoch together give a principal further grants (R15).

Its signer needs no grant, so it also works in a cluster that was founded without any. The members sign a
statement offline. It names cluster, epoch, principal and key, and takes effect once: its hash is kept like a
nonce, under a name that no principal can have, until it has expired.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

import msgspec

from dtvn.machine import reasons
from dtvn.machine.fields import whole
from dtvn.machine.nonces import NonceTable, Remembered
from dtvn.machine.principals import Principals
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import Membership, Verify
from dtvn.protocol.genesis import PRINCIPAL_NAME, Grant

USED = "#grant"
"""Nominal principal of the nonces that are statements which took effect; it is not a valid name."""
STATEMENT_GRANTS_MAX = 16
"""Most grants in one statement: with 31 signatures it fits the smallest batch."""
VALID_MAX = 31 * 24 * 3_600 * 1_000_000
"""Most microseconds of batch time for which a statement may be valid."""
GRANTS_MAX = 64
"""Most grants of a principal."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class GrantStatement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The statement that each member of the epoch signs."""

    epoch: Count
    """The epoch whose members sign it."""
    name: Annotated[str, msgspec.Meta(pattern=whole(PRINCIPAL_NAME))]
    public_key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    """The principal's present key: a rotated or revoked key gets no grants."""
    grants: Annotated[tuple[Grant, ...], msgspec.Meta(min_length=1, max_length=STATEMENT_GRANTS_MAX)]
    """Added to those that the principal has; ascending by event and capability, each once."""
    until: Count
    """Batch time until which it may be ordered, Unix microseconds."""


def statement_bytes(cluster: bytes, statement: GrantStatement) -> bytes:
    """The bytes that each member's signature covers."""
    return b"dtvn/v1/grant\0" + cluster + canonical.encode(statement)


def carry_out(
    statement: GrantStatement,
    signatures: tuple[bytes, ...],
    *,
    cluster: bytes,
    now: Membership,
    principals: Principals,
    nonces: NonceTable,
    place: tuple[int, int],
    timestamp: int,
    verify: Verify,
) -> str:
    """Give the principal the grants; returns the outcome code. `signatures`: one per member of `now`, by
    index; `place`: (sequence, index) of the operation. Cheap checks come first."""
    data = statement_bytes(cluster, statement)
    digest = sha256(data).digest()
    if statement.epoch != now.epoch:
        return reasons.WRONG_EPOCH
    if statement.until < timestamp:
        return reasons.EXPIRED
    if nonces.get(USED, "", digest) is not None:
        return reasons.NONCE_REUSED
    known = principals.get(statement.name)
    if known is None or known.public_key != statement.public_key:
        return reasons.PRINCIPAL_NOT_FOUND
    grants = tuple(
        sorted({*known.grants, *statement.grants}, key=lambda grant: (grant.event, grant.capability))
    )
    if len(grants) > GRANTS_MAX:
        return reasons.FULL
    if statement.until > timestamp + VALID_MAX or len(signatures) != len(now.members):
        return reasons.NOT_PERMITTED
    signed = zip(now.members, signatures, strict=True)
    if not all(verify(member.public_key, data, signature) for member, signature in signed):
        return reasons.NOT_PERMITTED
    sequence, index = place
    used = Remembered(digest, reasons.NUMBER_OF[reasons.OK], sequence, index)
    nonces.remember((USED, "", digest), used, statement.until)
    return principals.limit(statement.name, grants)
