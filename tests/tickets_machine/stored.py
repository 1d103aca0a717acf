"""Rows that an earlier commit wrote, as a ledger keeps them, and the door that they were written of."""

from __future__ import annotations

from typing import TypedDict

import msgspec

from dtvn.machine import read_head
from dtvn.machine.rows import TicketBytes, TicketRow, change_from
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.genesis import Genesis
from tests.tickets_machine.doors import Door


class KeptDoor(TypedDict):
    """One door of a file in golden/."""

    sequence: int
    now: int
    sessions: dict[str, list[int]]
    numbers: dict[str, int]
    root: str
    rows: list[tuple[str, str, list[str]]]
    """(table, key, parts of the row), keys and parts in hex."""


def row_of(table: str, key: str, row: list[str]) -> ApplicationChange:
    """A row as the ledger stored it."""
    packed = [bytes.fromhex(part) for part in row]
    if table != "ticket":
        return change_from(table, bytes.fromhex(key), packed[0])
    if len(packed) == 1:
        found = msgspec.msgpack.decode(packed[0], type=TicketRow)
        return ApplicationChange("ticket", (found.event, found.ticket), found)
    number = msgspec.msgpack.decode(bytes.fromhex(key))[0]
    state, issued = packed
    return ApplicationChange("ticket", (number,), TicketBytes(number, read_head(state), state, issued))


def door_of(kept: KeptDoor, founded: Genesis | None = None, *, searched: bool) -> Door:
    """The door as it was left, loaded by this release."""
    door = Door(founded, created=False, searched=searched)
    door.sequence, door.now = kept["sequence"], kept["now"]
    door.sessions = {who: (session[0], session[1]) for who, session in kept["sessions"].items()}
    door.numbers = dict(kept["numbers"])
    for table, key, row in kept["rows"]:
        change = row_of(table, key, row)
        door.rows[table, tuple(change.key)] = change
    door.application = door.reload()
    return door
