"""Rows follow the log, all together or not at all (PROTOCOL R9)."""

import msgspec
import pytest

from dtvn.ledger import LedgerDamaged, Location
from dtvn.machine.rows import ROW_TYPES, BundlePage, ClockRow, NonceGroup, SessionRow, TicketRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange
from tests.ledger.samples import CLUSTER, LogWriter, executed, packed, ticket
from tests.ledger.test_append import reopened
from validators.ledger import Ledger, open_ledger, state_rows


def change(row: TicketRow) -> ApplicationChange:
    return ApplicationChange(table="ticket", key=(row.event, row.ticket), row=row)


OTHERS = [
    ApplicationChange("session", (3, 0), SessionRow("gateway", 4, 7, 1)),
    ApplicationChange("bundle", (3, 0, 4), BundlePage(())),
    ApplicationChange("nonce", (7,), NonceGroup(keep_until=99, entries=())),
    ApplicationChange("clock", (), ClockRow((3, 0, 0, 1))),
]


def test_tickets_come_in_the_order_of_their_numbers(sqlite_place: Location) -> None:
    """Also where packed rows and searched ones are mixed."""
    ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias="mixed")
    try:
        rows = [packed(1), packed(2), change(ticket("T-3")), packed(4), change(ticket("T-5"))]
        ledger.load()
        for row in rows:
            ledger.materialise([row], 0, 17)
        assert list(ledger.load().rows) == rows
    finally:
        ledger.close()


def test_every_table_of_the_machine_is_stored() -> None:
    assert {*state_rows.TABLE_NUMBER, "ticket"} == set(ROW_TYPES)


def test_every_field_of_a_ticket_is_stored() -> None:
    row = ticket("T-1", metadata={"k": "v"})
    assert state_rows.unpack_ticket(canonical.encode(row)) == row
    assert len(msgspec.structs.astuple(row)) == len(msgspec.structs.fields(TicketRow))


def test_a_replay_counts_nothing_twice(ledger: Ledger) -> None:
    """At start entries above applied_sequence are executed and noted again (R9)."""
    writer = LogWriter()
    ledger.append(writer.entries(2))
    for record in writer.records:
        ledger.notice(executed(record, ["ok", "ok"]))
    ledger.materialise([], 1, 1)
    again, tail = reopened(ledger)
    try:
        assert tail.applied_sequence == 1
        for record in writer.records:
            again.notice(executed(record, ["ok", "ok"]))
        again.materialise([], 2, 2)
        assert counters(again) == {"operation/validate/ok": 4}
    finally:
        again.close()


@pytest.mark.parametrize("column", ["state", "gate", "row", "seat", "checksum"])
def test_a_changed_ticket_row_is_noticed_at_start(ledger: Ledger, column: str) -> None:
    ledger.append(LogWriter().entries(1))
    ledger.materialise([change(ticket("T-1"))], 1, 1)
    changed = {
        "row": "cast('x' AS bytea)" if ledger.location.url else "zeroblob(20)",
        "checksum": "checksum + 1",
    }.get(column, "'x'")
    ledger._store.define(f"UPDATE ledger_ticket SET {column} = {changed}")  # noqa: S608
    with pytest.raises(LedgerDamaged, match="T-1"):
        list(ledger.load().rows)


def counters(ledger: Ledger) -> dict[str, int]:
    return dict(ledger._store.rows("SELECT name, value FROM ledger_counter WHERE value <> 0"))  # type: ignore[arg-type]
