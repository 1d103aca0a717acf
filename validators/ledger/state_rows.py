"""Converts rows of the materialised state to database rows and back (R9; dtvn.machine.rows)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from dtvn.ledger import LedgerDamaged
from dtvn.machine import NAMES, State, read_head, read_packed
from dtvn.machine.rows import TicketBytes, TicketRow, change_from
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange
from validators.ledger.encoding import checksum, with_checksum
from validators.ledger.statements import TICKET_COLUMNS
from validators.ledger.store import Store

TABLE_NUMBER = {
    "session": b"\x01",
    "bundle": b"\x02",
    "nonce": b"\x03",
    "clock": b"\x04",
    "principal": b"\x05",
    "retired": b"\x06",
    "membership": b"\x07",
    "run": b"\x08",
    "lock": b"\x09",
    "waiter": b"\x0a",
    "event": b"\x0b",
}
"""Table -> first byte of a StateRow's key. It is written to disk, so it is never reused for another table."""
_TABLE_OF = {number: table for table, number in TABLE_NUMBER.items()}
UPHELD = State.UPHELD.name
_CHUNK = 4_096
_PAIR = b"\x92"
"""First byte of the packed row of a TicketBytes (an array of two); a TicketRow has more fields."""
_SELECT_TICKETS = f"SELECT id, %s FROM ledger_ticket WHERE id > ? ORDER BY id LIMIT {_CHUNK}"  # noqa: S608
_SELECT_PACKED = _SELECT_TICKETS % "event, ticket_id, state, row, checksum"
"""Only the columns of a TicketBytes: the others cost as much again."""
_SELECT_SEARCHED = _SELECT_TICKETS % TICKET_COLUMNS
_CODE_COLUMNS = "id, event, digest, ticket_id, revoked"
_SELECT_CODES = f"SELECT {_CODE_COLUMNS} FROM ledger_ticketcode WHERE id > ? ORDER BY id LIMIT {_CHUNK}"  # noqa: S608

unpack_ticket = msgspec.msgpack.Decoder(TicketRow).decode
"""The TicketRow with these canonical bytes; raises msgspec.MsgspecError."""


def ticket_row(row: TicketRow) -> tuple[Any, ...]:
    """Parameters of UPSERT_TICKET."""
    packed = canonical.encode_trimmed(row)
    return (*_searched(row), packed, zlib.crc32(packed))


def ticket_bytes(row: TicketBytes) -> tuple[Any, ...]:
    """Parameters of UPSERT_TICKET_BYTES."""
    head = row.head
    packed = canonical.encode((row.state, row.issued))
    return row.number, head.event, head.ticket, NAMES[head.state], packed, zlib.crc32(packed)


def _searched(row: TicketRow) -> tuple[Any, ...]:
    """The columns that repeat fields of the packed row; an upheld dispute has a state of its own, so that
    lists and counters tell it from an open one."""
    return (
        row.event,
        row.ticket,
        UPHELD if row.upheld else row.state,
        row.validator,
        row.timestamp,
        row.sequence,
        row.gate,
        row.device,
        row.product,
        row.seat,
        row.blocked,
    )


def ticket_codes(row: TicketRow) -> Iterator[tuple[str, bytes, str, bool]]:
    """Parameters of UPSERT_CODE for each code of a ticket."""
    for digests, revoked in ((row.codes, False), (row.revoked, True)):
        for digest in digests:
            yield row.event, digest, row.ticket, revoked


def ticket_from_columns(columns: tuple[Any, ...]) -> TicketRow:
    """The TicketRow in TICKET_COLUMNS; raises LedgerDamaged if anything differs from what was written."""
    *searched, packed, check = columns
    what = f"the row of ticket {columns[1]!r}"
    if not isinstance(packed, bytes) or zlib.crc32(packed) != check:
        raise LedgerDamaged(f"{what} differs from its checksum")
    try:
        row = unpack_ticket(packed)
    except msgspec.MsgspecError as error:
        raise LedgerDamaged(f"{what} cannot be read: {error}") from error
    if tuple(searched) != _searched(row):
        raise LedgerDamaged(f"the columns of {what} differ from its bytes")
    return row


def state_key(change: ApplicationChange) -> bytes:
    """Key of a StateRow."""
    return TABLE_NUMBER[change.table] + canonical.encode(change.key)


def state_row(change: ApplicationChange) -> tuple[Any, ...]:
    """Parameters of UPSERT_STATE_ROW."""
    return with_checksum((state_key(change), canonical.encode_trimmed(change.row)))


def _packed(number: int, event: str, ticket: str, name: str, packed: Any, check: int) -> ApplicationChange:
    """Inverse of `ticket_bytes`; raises LedgerDamaged if anything differs from what was written."""
    try:
        if zlib.crc32(packed) == check:
            state, issued = read_packed(packed)
            head = read_head(state)
            if (head.event, head.ticket, NAMES[head.state]) == (event, ticket, name):
                return ApplicationChange("ticket", (number,), TicketBytes(number, head, state, issued))
    except (msgspec.MsgspecError, ValueError) as error:
        raise LedgerDamaged(f"the row of ticket {ticket!r} cannot be read: {error}") from error
    raise LedgerDamaged(f"the row of ticket {ticket!r} differs from what was written")


class MaterialisedRows:
    """All rows as `Application.load` takes them; read in chunks and checked while iterated."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __iter__(self) -> Iterator[ApplicationChange]:
        try:
            # Epochs come before tickets: they determine the length of a ticket's vector clock.
            yield from self._others()
            yield from self._tickets()
        except (TypeError, AttributeError) as error:  # on SQLite one flipped bit changes a value's type
            raise LedgerDamaged(f"a row holds a value of a wrong type: {error}") from error

    def _tickets(self) -> Iterator[ApplicationChange]:
        after = -1
        while rows := self._store.rows(_SELECT_PACKED, (after,)):
            for number, event, ticket, name, packed, check in rows:
                if packed[:1] != _PAIR:
                    yield from self._searched_tickets(number - 1)
                    return
                yield _packed(number, event, ticket, name, packed, check)
            after = rows[-1][0]

    def _searched_tickets(self, after: int) -> Iterator[ApplicationChange]:
        """The tickets behind number `after`, of which the first is a TicketRow; their codes are compared with
        the rows of TicketCode."""
        codes = 0
        while rows := self._store.rows(_SELECT_SEARCHED, (after,)):
            for number, *columns in rows:
                if columns[-2][:1] == _PAIR:
                    yield _packed(number, *columns[:3], *columns[-2:])
                    continue
                row = ticket_from_columns(tuple(columns))
                codes += sum(map(checksum, ticket_codes(row)))
                yield ApplicationChange(table="ticket", key=(row.event, row.ticket), row=row)
            after = rows[-1][0]
        if codes != self._sum_of_codes():
            raise LedgerDamaged("the codes of tickets differ from their rows")

    def _sum_of_codes(self) -> int:
        """The sum, in whatever order, of a checksum of each row of TicketCode."""
        after, found = 0, 0
        while rows := self._store.rows(_SELECT_CODES, (after,)):
            found += sum(checksum((*columns, bool(+revoked))) for _number, *columns, revoked in rows)
            after = rows[-1][0]
        return found

    def _others(self) -> Iterator[ApplicationChange]:
        sql = f"SELECT key, row, checksum FROM ledger_staterow WHERE key > ? ORDER BY key LIMIT {_CHUNK}"  # noqa: S608
        after, read = b"", 0
        while rows := self._store.rows(sql, (after,)):
            for key, row, check in rows:
                if checksum((key, row)) != check or key[:1] not in _TABLE_OF:
                    raise LedgerDamaged(f"the state row {key.hex()[:32]} differs from its checksum")
                table = _TABLE_OF[key[:1]]
                try:
                    yield change_from(table, key[1:], row)
                except canonical.CanonicalError as error:
                    raise LedgerDamaged(f"a {table} row cannot be read: {error}") from error
            after, read = rows[-1][0], read + len(rows)
        # A key whose type a flipped bit changed is in no range of keys.
        if read != self._store.rows("SELECT count(*) FROM ledger_staterow")[0][0]:
            raise LedgerDamaged("a state row has a key that is out of order")
