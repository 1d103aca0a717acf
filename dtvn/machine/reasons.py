"""The outcome codes of operations: one vocabulary for core, API, admin, gates and tests.

A code never changes: clients, certificates and translations rely on it. The replicated state holds the
numbers of codes (sessions and nonces keep one byte per outcome), so numbers are never reused either.
`pretix` is the matching check-in reason of pretix, which gate staff know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from dtvn.protocol.consensus.messages import Bundle, Outcome

Whose = Literal["guest", "gate", "network", ""]


class OutcomeReason(msgspec.Struct, frozen=True):
    """One outcome code and how each interface presents it."""

    code: str
    number: int | None
    """The code's byte in the replicated state; None for a code that only the API answers, never execution."""
    status: int
    """HTTP status."""
    sentence: str
    pretix: str
    """The nearest check-in reason of pretix, "" if it has no similar one."""
    whose: Whose = "gate"
    """Whose matter it is: "guest", the refused guest's; "gate", the gate's or the caller's (a wrong
    key, an unknown event, a malformed request), never to look like a refused guest; "network"; "" for ok."""


OK = "ok"
MALFORMED = "malformed"
EXPIRED = "expired"
TOO_FAR_AHEAD = "too_far_ahead"
NONCE_REUSED = "nonce_reused"
BUSY = "busy"
NOT_PERMITTED = "not_permitted"
DEMO_ONLY = "demo_only"
FULL = "full"
TICKET_NOT_FOUND = "ticket_not_found"
TICKET_EXISTS = "ticket_exists"
NOT_VALIDATED = "not_validated"
ALREADY_VALIDATED = "already_validated"
ALREADY_CONSUMED = "already_consumed"
DISPUTED = "disputed"
ALREADY_DISPUTED = "already_disputed"
NOT_DISPUTED = "not_disputed"
ALREADY_UPHELD = "already_upheld"
ABOUT_DISPUTES = frozenset({DISPUTED, ALREADY_DISPUTED})
"""Codes that the contract has for open and for upheld disputes alike; what people read tells them apart."""
NOT_YET_VALID = "not_yet_valid"
NO_LONGER_VALID = "no_longer_valid"
PRINCIPAL_EXISTS = "principal_exists"
PRINCIPAL_NOT_FOUND = "principal_not_found"
KEY_IN_USE = "key_in_use"
LAST_ADMIN = "last_admin"
WRONG_EPOCH = "wrong_epoch"
NOT_ALONE = "not_alone"
MEMBER_NOT_FOUND = "member_not_found"
MEMBER_EXISTS = "member_exists"
NOT_READY = "not_ready"
TOO_FEW_MEMBERS = "too_few_members"
NOT_NEXT = "not_next"
LOCK_HELD = "lock_held"
LOCK_WAITING = "lock_waiting"
STALE_LEASE = "stale_lock_token"
TOO_MANY_WAITERS = "too_many_waiters"
BARCODE_NOT_FOUND = "barcode_not_found"
REVOKED = "revoked"
BLOCKED = "blocked"
WRONG_PRODUCT = "wrong_product"
UNKNOWN_EVENT = "unknown_event"
BARCODE_TAKEN = "barcode_taken"
TOO_MANY_CODES = "too_many_codes"
NOT_BLOCKED = "not_blocked"
ALREADY_BLOCKED = "already_blocked"
EMPTY_WINDOW = "empty_window"
UNKNOWN_LIST = "unknown_list"
LIST_CLOSED = "list_closed"
LIST_FULL = "list_full"
STILL_INSIDE = "still_inside"
NOT_INSIDE = "not_inside"
NOT_THE_NEWEST = "not_the_newest"
TOO_LATE_TO_ANNUL = "too_late_to_annul"

UNREMEMBERED = frozenset({EXPIRED, TOO_FAR_AHEAD, BUSY, MALFORMED, NONCE_REUSED})
"""Outcomes that do not bind a nonce: the same operation may still be executed later, and a nonce bound to one
operation is not taken over by another (R13)."""

RUN_REFUSED = frozenset({NOT_NEXT, NOT_PERMITTED})
"""Outcomes of a record after which the log may hold another history of its run, or that of another writer."""

BAD_REQUEST = "bad_request"
TICKET_ID_REQUIRED = "ticket_id_required"
TOO_LARGE = "too_large"
UNAVAILABLE = "unavailable"
CLUSTER_CONTRADICTION = "cluster_contradiction"
NOT_SENT = frozenset({UNAVAILABLE, CLUSTER_CONTRADICTION})
"""Codes of requests that never left the gateway, so the operation did not happen."""
OUTCOME_UNKNOWN = "outcome_unknown"

_ALL = (
    OutcomeReason(OK, 0, 200, "Done.", "", ""),
    OutcomeReason(MALFORMED, 1, 400, "The operation is malformed.", "error"),
    OutcomeReason(
        EXPIRED, 2, 504, "The operation was ordered too late and did nothing; try again.", "error", "network"
    ),
    OutcomeReason(
        TOO_FAR_AHEAD, 3, 400, "The operation asks to stay valid for more than 10 minutes.", "error"
    ),
    OutcomeReason(NONCE_REUSED, 4, 422, "This nonce was used before, for another operation.", "error"),
    OutcomeReason(BUSY, 5, 503, "Too many operations are remembered; try again later.", "error", "network"),
    OutcomeReason(NOT_PERMITTED, 6, 403, "The signer may not do this in this event.", "error"),
    OutcomeReason(DEMO_ONLY, 7, 403, "Only a demonstration cluster can be seeded.", "error"),
    OutcomeReason(FULL, 8, 507, "The cluster has reached its limit of tickets.", "error", "network"),
    OutcomeReason(TICKET_NOT_FOUND, 9, 404, "There is no such ticket.", "invalid", "guest"),
    OutcomeReason(TICKET_EXISTS, 10, 409, "The ticket has been issued before.", "error"),
    OutcomeReason(NOT_VALIDATED, 11, 409, "The ticket is not validated.", "unpaid", "guest"),
    OutcomeReason(ALREADY_VALIDATED, 12, 409, "The ticket is already validated.", "error", "guest"),
    OutcomeReason(ALREADY_CONSUMED, 13, 409, "The ticket is already consumed.", "already_redeemed", "guest"),
    OutcomeReason(DISPUTED, 14, 409, "The ticket is disputed.", "blocked", "guest"),
    OutcomeReason(ALREADY_DISPUTED, 15, 409, "The ticket is already disputed.", "blocked"),
    OutcomeReason(NOT_DISPUTED, 16, 409, "The ticket is not disputed.", "error"),
    OutcomeReason(ALREADY_UPHELD, 17, 409, "The dispute has been upheld, and that is final.", "revoked"),
    OutcomeReason(NOT_YET_VALID, 18, 409, "The ticket is not valid yet.", "invalid_time", "guest"),
    OutcomeReason(NO_LONGER_VALID, 19, 409, "The ticket is no longer valid.", "invalid_time", "guest"),
    OutcomeReason(PRINCIPAL_EXISTS, 20, 409, "There is already a principal with this name.", "error"),
    OutcomeReason(PRINCIPAL_NOT_FOUND, 21, 404, "There is no principal with this name.", "error"),
    OutcomeReason(KEY_IN_USE, 22, 409, "This key is or was already in use; make a new one.", "error"),
    OutcomeReason(LAST_ADMIN, 23, 409, "No other principal could administer the cluster.", "error"),
    OutcomeReason(WRONG_EPOCH, 24, 409, "The membership has changed in the meantime.", "error"),
    OutcomeReason(
        NOT_ALONE, 25, 400, "A membership change must be the only operation of its request.", "error"
    ),
    OutcomeReason(MEMBER_NOT_FOUND, 26, 404, "There is no member with this name.", "error"),
    OutcomeReason(MEMBER_EXISTS, 27, 409, "There is already a member with this name.", "error"),
    OutcomeReason(
        NOT_READY,
        28,
        409,
        "The newcomer lags behind, or too few of the new members sent a recent liveness proof.",
        "error",
    ),
    OutcomeReason(
        TOO_FEW_MEMBERS,
        29,
        409,
        "Fewer than four members tolerate no Byzantine member; set allow_small to accept that.",
        "error",
    ),
    OutcomeReason(NOT_NEXT, 30, 409, "The record does not continue its run.", "error"),
    OutcomeReason(LOCK_HELD, 31, 409, "Another one holds the lock.", "error"),
    OutcomeReason(LOCK_WAITING, 32, 202, "Another one holds the lock; the holder waits for it.", "error"),
    OutcomeReason(STALE_LEASE, 33, 409, "The lease with this token is over.", "error"),
    OutcomeReason(TOO_MANY_WAITERS, 34, 409, "Too many wait for this lock, or for all locks.", "error"),
    OutcomeReason(BARCODE_NOT_FOUND, 35, 404, "No ticket of this event has this code.", "invalid", "guest"),
    OutcomeReason(REVOKED, 36, 409, "This code was replaced by another one.", "revoked", "guest"),
    OutcomeReason(BLOCKED, 37, 409, "The ticket is blocked.", "blocked", "guest"),
    OutcomeReason(WRONG_PRODUCT, 38, 409, "This kind of ticket does not admit here.", "product", "guest"),
    OutcomeReason(UNKNOWN_EVENT, 39, 404, "There is no such event.", "error"),
    OutcomeReason(BARCODE_TAKEN, 40, 409, "Another ticket of this event has or had this code.", "error"),
    OutcomeReason(TOO_MANY_CODES, 41, 409, "The ticket would have more than 32 codes in all.", "error"),
    OutcomeReason(NOT_BLOCKED, 42, 409, "The ticket is not blocked.", "error"),
    OutcomeReason(ALREADY_BLOCKED, 43, 409, "The ticket is already blocked.", "error"),
    OutcomeReason(EMPTY_WINDOW, 44, 409, "The ticket's window would end before it begins.", "error"),
    OutcomeReason(UNKNOWN_LIST, 45, 404, "The event has no such list.", "error"),
    OutcomeReason(LIST_CLOSED, 46, 409, "This entrance is closed at this time.", "invalid_time", "guest"),
    OutcomeReason(LIST_FULL, 47, 409, "It is full inside: somebody has to leave first.", "rules", "guest"),
    OutcomeReason(
        STILL_INSIDE, 48, 409, "This guest is inside, and has to leave first.", "already_redeemed", "guest"
    ),
    OutcomeReason(NOT_INSIDE, 49, 409, "Nobody with this ticket is inside.", "error", "guest"),
    OutcomeReason(
        NOT_THE_NEWEST,
        50,
        409,
        "The newest entry or exit is another one, or of another device or person.",
        "error",
    ),
    OutcomeReason(
        TOO_LATE_TO_ANNUL,
        51,
        409,
        "It is more than 15 minutes old; who may supervise can still annul it, with a reason.",
        "error",
    ),
    OutcomeReason(BAD_REQUEST, None, 400, "The request could not be parsed.", "error"),
    OutcomeReason(TICKET_ID_REQUIRED, None, 400, "ticket_id is required", "error"),
    OutcomeReason(TOO_LARGE, None, 413, "The request is too large.", "error"),
    OutcomeReason(
        UNAVAILABLE, None, 503, "Nothing was sent: too few validators answer.", "network_error", "network"
    ),
    OutcomeReason(
        CLUSTER_CONTRADICTION,
        None,
        503,
        "Members hold certificates that contradict each other; nothing is decided until operators act.",
        "network_error",
        "network",
    ),
    OutcomeReason(
        OUTCOME_UNKNOWN,
        None,
        504,
        "The outcome is unknown; repeat with the same nonce to learn it.",
        "network_error",
        "network",
    ),
)

REASONS: dict[str, OutcomeReason] = {reason.code: reason for reason in _ALL}
NUMBER_OF: dict[str, int] = {r.code: r.number for r in _ALL if r.number is not None}
CODE_OF: dict[int, str] = {number: code for code, number in NUMBER_OF.items()}


def tally(executed: Iterable[tuple[Bundle, int, Sequence[Outcome]]]) -> Counter[tuple[str, str]]:
    """Number of operations by (kind, code) in the bundles of an entry, for metrics. A malformed operation,
    whose kind is arbitrary text of its sender, is counted under the kind `malformed`."""
    found = Counter(
        [
            (operation.kind, outcome.code)
            for bundle, _first_index, outcomes in executed
            for operation, outcome in zip(bundle.operations, outcomes, strict=True)
        ]
    )
    malformed = sum([found.pop(key) for key in list(found) if key[1] == MALFORMED])
    if malformed:
        found[MALFORMED, MALFORMED] = malformed
    return found


def pack(codes: tuple[str, ...]) -> bytes:
    """One byte per code, trailing zeros (`ok`) cut off: an entirely successful bundle takes no bytes."""
    return bytes(map(NUMBER_OF.__getitem__, codes)).rstrip(b"\0")


def unpack(packed: bytes, count: int) -> tuple[str, ...]:
    """The `count` codes that `pack` packed."""
    return tuple(map(CODE_OF.__getitem__, packed.ljust(count, b"\0")))
