"""The operations on locks by REST: body to request, decision to answer. No decision is made here."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.api.answers import Answer, bare, success
from dtvn.api.bodies import nonce_of
from dtvn.api.errors import SEQUENCE_HEADER, Refused
from dtvn.api.lock_lists import LockLedger, holder_of, lock_object
from dtvn.api.ordering import Decision, Request
from dtvn.machine import CancelLock, Command, Lock, Renew, Unlock, reasons
from dtvn.machine.bodies import OperationBody
from dtvn.machine.fields import LEASE_MAX, LOCK_NAME_LENGTH_MAX, MICROSECONDS, WAIT_MAX
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical

WORD_LENGTH_MAX = 64
LEASE_SECONDS_MAX = LEASE_MAX // MICROSECONDS
WAIT_SECONDS_MAX = WAIT_MAX // MICROSECONDS
TOKEN_MAX = 2**63 - 1

LockName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=LOCK_NAME_LENGTH_MAX,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description=f"a string of 1 to {LOCK_NAME_LENGTH_MAX} characters without control characters",
        extra={"form": "NFC"},
    ),
]
Word = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=WORD_LENGTH_MAX,
        pattern=r"^[!-~]+$",
        description=f"a string of 1 to {WORD_LENGTH_MAX} visible ASCII characters",
    ),
]
Token = Annotated[
    int, msgspec.Meta(ge=0, le=TOKEN_MAX, description="the token with which the lease was granted")
]
Lease = Annotated[
    float,
    msgspec.Meta(
        ge=0.001,
        le=LEASE_SECONDS_MAX,
        description=f"a number of seconds from 0.001 to {LEASE_SECONDS_MAX}",
    ),
]
Wait = Annotated[
    float,
    msgspec.Meta(ge=0, le=WAIT_SECONDS_MAX, description=f"a number of seconds from 0 to {WAIT_SECONDS_MAX}"),
]


class LockBody(OperationBody, frozen=True, kw_only=True):
    """Body of POST /locks/cancel, and fields of the others."""

    name: LockName
    holder: Word

    def command(self, holder: bytes) -> Command:
        """The command of the operation; `holder` as the log has it."""
        return CancelLock(self.name, holder)

    def ordered_for(self, actor: str, header: str | None) -> Request:
        """The operation that this body and an Idempotency-Key describe, with `actor` as the caller."""
        command = self.command(holder_of(actor, self.holder))
        return Request(command, event=self.event, nonce=nonce_of(self, header))


class AcquireBody(LockBody, frozen=True, kw_only=True):
    """Body of POST /locks/acquire."""

    lease: Lease
    wait: Wait = 0.0

    def command(self, holder: bytes) -> Command:
        """See LockBody."""
        return Lock(self.name, holder, _microseconds(self.lease), _microseconds(self.wait))


class RenewBody(LockBody, frozen=True, kw_only=True):
    """Body of POST /locks/renew."""

    token: Token
    lease: Lease

    def command(self, holder: bytes) -> Command:
        """See LockBody."""
        return Renew(self.name, holder, self.token, _microseconds(self.lease))


class ReleaseBody(LockBody, frozen=True, kw_only=True):
    """Body of POST /locks/release."""

    token: Token

    def command(self, holder: bytes) -> Command:
        """See LockBody."""
        return Unlock(self.name, holder, self.token)


VERBS: dict[str, type[LockBody]] = {
    "acquire": AcquireBody,
    "renew": RenewBody,
    "release": ReleaseBody,
    "cancel": LockBody,
}
"""Body by verb, the last part of the path."""
MESSAGES = {
    "acquire": "Lock acquired",
    "renew": "Lease renewed",
    "release": "Lock released",
    "cancel": "No longer waiting",
}


def answer_lock(
    verb: str, body: LockBody, decision: Decision, ledger: LockLedger, *, principal: str
) -> Answer:
    """Answers an operation on a lock: with the lease, or with 202 and the present holder's lease while the
    caller waits. Raises TicketError if it was refused. `ledger` must have applied the decision. `principal`:
    the name for which the gateway signs."""
    if decision.code != reasons.LOCK_WAITING:
        decision.check()
    sequence = decision.result.sequence
    if verb in ("release", "cancel"):
        return success(MESSAGES[verb], sequence=sequence)
    row = _shown(body, decision, ledger)
    own = principal, getattr(decision.request.command, "holder", b"")
    if row is not None and (row.principal, row.holder) == own:
        # Perhaps a retry (R13) of a caller that waited then, and holds the lock now.
        return success(MESSAGES[verb], lock_object(body.event, body.name, row), sequence=sequence)
    if decision.code == reasons.LOCK_WAITING:
        return _waiting(body, decision, row)
    raise Refused(reasons.STALE_LEASE, sequence=sequence)  # a late retry: the lease granted then is over


def _waiting(body: LockBody, decision: Decision, row: LockRow | None) -> Answer:
    held = None if row is None else lock_object(body.event, body.name, row)
    told = {"success": True, "message": decision.sentence, "code": decision.code, "data": held}
    return bare(told, status=202, headers={SEQUENCE_HEADER: str(decision.result.sequence)})


def _shown(body: LockBody, decision: Decision, ledger: LockLedger) -> LockRow | None:
    """The lock's row after the decision, None if it is free: from the outcome, or from `ledger` for a
    repeated request, of which only the code is known (R16)."""
    if decision.result.state:
        return canonical.decode(LockRow, decision.result.state)
    return ledger.read_lock(body.event, body.name)


def _microseconds(seconds: float) -> int:
    return round(seconds * MICROSECONDS)
