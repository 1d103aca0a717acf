"""Lists of locks by REST, from any ledger that can read them, and the JSON form of a lock.

All callers of a platform share one principal, so the holder in the log names the caller too (`holder_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Protocol

import msgspec

from dtvn.api.answers import Answer, success
from dtvn.api.calls import Call
from dtvn.api.errors import InvalidRequest
from dtvn.api.queries import next_link, read_event, read_limit
from dtvn.api.reads import Page
from dtvn.machine.fields import LOCK_NAME_LENGTH_MAX, MICROSECONDS, is_text
from dtvn.machine.rows import LockRow

HOLDER_BYTES_MAX = 32


class LocksQuery(msgspec.Struct, frozen=True):
    """Query for a page of one event's held locks."""

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
        """The row of a held lock; None if the lock is free."""


def holder_of(actor: str, word: str) -> bytes:
    """The holder in the log: caller and the holder that it named (`word`) as "actor/word" if shorter than
    HOLDER_BYTES_MAX, else the SHA-256 of that. Unique, since the name of a caller contains no slash."""
    clear = f"{actor}/{word}".encode()
    return clear if len(clear) < HOLDER_BYTES_MAX else sha256(clear).digest()


def shown_holder(holder: bytes) -> str:
    """A holder as text; in hex if it is a hash or not printable."""
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
    """Reads `event`, `limit`, `after` and `name` of a list of locks; raises InvalidRequest."""
    names = {field: query.get(field, "") for field in ("after", "name")}
    for field, text in names.items():
        if len(text) > LOCK_NAME_LENGTH_MAX or not is_text(text):
            raise InvalidRequest(
                f"{field} must be a lock's name, at most {LOCK_NAME_LENGTH_MAX} characters without control "
                "characters"
            )
    return LocksQuery(read_event(query), read_limit(query), **names)


def answer_locks(call: Call, ledger: LockLedger, query: LocksQuery, sequence: int) -> Answer:
    """Answers a page of locks. `sequence`: the log sequence that the ledger reflects."""
    page = ledger.list_locks(query)
    headers = {"X-Total-Count": str(page.total)}
    if page.more:
        headers["Link"] = next_link(call.path, call.pairs, page.items[-1]["name"])
    return success(data=page.items, sequence=sequence, headers=headers)
