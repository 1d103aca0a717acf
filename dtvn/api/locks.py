"""Locks by REST: their bodies and list, and the answers. No decision is made here.

All callers of a platform share its principal, so the holder in the log is the caller with the word that it
chose: no caller can act for another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Protocol

import msgspec

from dtvn.api.answers import Answer, bare, success
from dtvn.api.bodies import SeedBody
from dtvn.api.calls import Call
from dtvn.api.errors import SEQUENCE_HEADER, InvalidRequest, Refused
from dtvn.api.ordering import Decision, Request
from dtvn.api.queries import next_link, read_event, read_limit
from dtvn.api.reads import Page
from dtvn.machine import CancelLock, Command, Lock, Renew, Unlock, reasons
from dtvn.machine.commands import LEASE_MAX, LOCK_NAME_LENGTH_MAX, WAIT_MAX, is_text
from dtvn.machine.contract import MICROSECONDS
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical

HOLDER_BYTES_MAX = 32
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


class LockBody(SeedBody, frozen=True, kw_only=True):
    """Body of POST /locks/cancel, and fields of the others."""

    name: LockName
    holder: Word
    may_be_unreadable: ClassVar[bool] = False

    def command(self, holder: bytes) -> Command:
        """The command of the operation; `holder` as the log has it."""
        return CancelLock(self.name, holder)

    def ordered_for(self, actor: str, header: str | None) -> Request:
        """The operation that this body and an Idempotency-Key describe, for this caller."""
        command = self.command(holder_of(actor, self.holder))
        return Request(command, event=self.event, nonce=self.nonce_or(header))


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


class LocksQuery(msgspec.Struct, frozen=True):
    """A page of the locks of one event that are held."""

    event: str
    limit: int
    after: str
    """Name of the lock before the page, "" for the first."""
    name: str
    """Only the lock with this name; "" for all."""


class LockLedger(Protocol):
    """The ledger that a process lists locks from."""

    def list_locks(self, query: LocksQuery) -> Page:
        """Locks as JSON objects (`lock_object`), in the order of their encoded names."""

    def read_lock(self, event: str, name: str) -> LockRow | None:
        """The lock as it is held; None if it is free."""


def holder_of(actor: str, word: str) -> bytes:
    """The holder in the log: caller and word in clear if there is room, else their hash. No name of a caller
    holds a slash."""
    clear = f"{actor}/{word}".encode()
    return clear if len(clear) < HOLDER_BYTES_MAX else sha256(clear).digest()


def shown_holder(holder: bytes) -> str:
    """A holder as text; one that is no text, in hex."""
    text = holder.decode("utf-8", "replace")
    return text if len(holder) < HOLDER_BYTES_MAX and text.isprintable() and "�" not in text else holder.hex()


def lock_object(event: str, name: str, row: LockRow, waiters: int | None = None) -> dict[str, Any]:
    """A lock as JSON; `waiters`: length of its queue, if known."""
    shown = {
        "event": event,
        "name": name,
        "principal": row.principal,
        "holder": shown_holder(row.holder),
        "token": row.token,
        "expires_at": row.ends / MICROSECONDS,
    }
    return shown if waiters is None else {**shown, "waiters": waiters}


def read_locks_query(query: Mapping[str, str]) -> LocksQuery:
    """`event`, `limit`, `after`, `name` of a list of locks."""
    names = {field: query.get(field, "") for field in ("after", "name")}
    for field, text in names.items():
        if len(text) > LOCK_NAME_LENGTH_MAX or not is_text(text):
            raise InvalidRequest(
                f"{field} must be a lock's name, at most {LOCK_NAME_LENGTH_MAX} characters without control "
                "characters"
            )
    return LocksQuery(read_event(query), read_limit(query), **names)


def answer_locks(call: Call, ledger: LockLedger, query: LocksQuery, sequence: int) -> Answer:
    """A page of locks; `sequence`: what the ledger reflects."""
    page = ledger.list_locks(query)
    headers = {"X-Total-Count": str(page.total)}
    if page.more:
        headers["Link"] = next_link(call.path, call.pairs, page.items[-1]["name"])
    return success(data=page.items, sequence=sequence, headers=headers)


def answer_lock(verb: str, body: LockBody, decision: Decision, ledger: LockLedger) -> Answer:
    """The answer to an operation on a lock: the lease, 202 with the holder's while the caller waits. Raises
    TicketError if it was refused. `ledger` has applied the decision."""
    if decision.code == reasons.LOCK_WAITING:
        return _waiting(body, decision, ledger)
    result = decision.check().result
    if verb in ("release", "cancel"):
        return success(MESSAGES[verb], sequence=result.sequence)
    row = _shown(body, decision, ledger)
    own = getattr(decision.request.command, "holder", b"")
    if row is None or row.holder != own:  # a late retry (R13): the lease that was granted then is over
        raise Refused(reasons.STALE_LEASE, sequence=result.sequence)
    return success(MESSAGES[verb], lock_object(body.event, body.name, row), sequence=result.sequence)


def _waiting(body: LockBody, decision: Decision, ledger: LockLedger) -> Answer:
    row = _shown(body, decision, ledger)
    held = None if row is None else lock_object(body.event, body.name, row)
    told = {"success": True, "message": decision.sentence, "code": decision.code, "data": held}
    return bare(told, status=202, headers={SEQUENCE_HEADER: str(decision.result.sequence)})


def _shown(body: LockBody, decision: Decision, ledger: LockLedger) -> LockRow | None:
    """The lock after the decision; of a repeated request only the code is known (R16)."""
    if decision.result.state:
        return canonical.decode(LockRow, decision.result.state)
    return ledger.read_lock(body.event, body.name)


def _microseconds(seconds: float) -> int:
    return round(seconds * MICROSECONDS)
