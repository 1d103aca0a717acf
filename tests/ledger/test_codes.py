"""What the learner finds tickets by besides their ids: codes, blocks, events (PROTOCOL R40, R42)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from dtvn.ledger import LedgerDamaged, Location
from dtvn.machine import Admit, State, TicketState, build
from dtvn.machine.codes import default_salt
from dtvn.machine.rows import EventRow, TicketRow
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import answered
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange, EntryRecord, Executed, Install
from dtvn.protocol.consensus.messages import Batch, Entry, Operation, Outcome, entry_hash
from dtvn.protocol.wire.envelope import decode_envelope
from tests.ledger.samples import CLUSTER, START, LogWriter, batch_body, ticket
from tests.ledger.test_install import snapshot_of
from tests.ledger.test_materialise import change
from validators.ledger import Ledger, open_ledger, read
from validators.ledger.models import OperationRecord
from validators.ledger.move import move_ledger

ALIAS = "ledger-under-test"
FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.fixture
def learner(place: Location) -> Iterator[Ledger]:
    opened = open_ledger(place, cluster_id=CLUSTER, alias=ALIAS, indexed=True)
    opened.load()
    opened.append(LogWriter().entries(9))
    yield opened
    opened.close()


def coded(number: str, *codes: bytes, revoked: Sequence[bytes] = (), **fields: Any) -> TicketRow:
    row = ticket(number, **{name: fields.pop(name) for name in ("event", "state") if name in fields})
    return msgspec.structs.replace(row, codes=codes, revoked=tuple(revoked), **fields)


def named(code: bytes, event: str = "default") -> tuple[str, bool] | None:
    return read.ticket_by_code(ALIAS, event, code)


@pytest.mark.parametrize(
    "edit",
    [
        "DELETE FROM ledger_ticketcode WHERE ticket_id = 'T-2'",
        "UPDATE ledger_ticketcode SET ticket_id = 'T-3' WHERE ticket_id = 'T-2'",
        "UPDATE ledger_ticketcode SET event = 'gala' WHERE ticket_id = 'T-2'",
        "UPDATE ledger_ticketcode SET revoked = NOT revoked WHERE ticket_id = 'T-2'",
        "UPDATE ledger_ticketcode SET digest = {other} WHERE ticket_id = 'T-2'",
    ],
)
def test_codes_that_differ_from_the_tickets_are_noticed_at_start(learner: Ledger, edit: str) -> None:
    learner.materialise([change(coded("T-1", FIRST)), change(coded("T-2", SECOND))], 1, 1)
    assert len(list(learner.load().rows)) == 2
    learner._store.define(
        edit.format(other=f"'\\x{THIRD.hex()}'" if learner.location.url else f"X'{THIRD.hex()}'")
    )
    with pytest.raises(LedgerDamaged, match="codes of tickets"):
        list(learner.load().rows)


def test_a_snapshot_replaces_the_codes(learner: Ledger) -> None:
    learner.materialise([change(coded("T-1", FIRST))], 1, 1)
    writer = LogWriter()
    writer.entries(20)
    before = snapshot_of(writer)
    rows = [change(coded("T-2", SECOND, blocked=True))]
    learner.install(Install(before.checkpoint, before.entry, before.peaks, lambda: rows))
    assert [row.row for row in learner.load().rows] == [rows[0].row]
    assert (named(FIRST), named(SECOND)) == (None, ("T-2", False))


def test_codes_and_blocks_move_with_their_ledger(sqlite_place: Location, postgres_place: Location) -> None:
    beside = Location(postgres_place.folder)
    ledger = open_ledger(beside, cluster_id=CLUSTER, alias=ALIAS, indexed=True)
    ledger.load()
    rows = [coded("T-1", FIRST, revoked=[SECOND], blocked=True), coded("T-2", THIRD)]
    ledger.materialise([change(row) for row in rows], 0, 1)
    ledger.close()
    for number, (source, target) in enumerate([(beside, postgres_place), (postgres_place, beside)]):
        move_ledger(source, target, settle=lambda: None)
        ledger = open_ledger(target, cluster_id=CLUSTER, alias=ALIAS, indexed=True)
        try:
            assert [row.row for row in ledger.load().rows] == rows
            assert (named(SECOND), named(THIRD)) == (("T-1", True), ("T-2", False))
            rows.append(coded(f"T-{number + 3}", bytes([number + 9]) * 32))
            ledger.materialise([change(rows[-1])], 0, 2)
        finally:
            ledger.close()


def event(name: str, *, declared: bool = True, salt: bytes = FIRST) -> ApplicationChange:
    products = (("Day pass", True), ("Parking", False)) if declared else ()
    row = EventRow("", "Europe/Berlin", 0, False, products, declared, salt, 1, 4, 0, START)
    return ApplicationChange("event", (name,), row)


def test_the_salt_of_an_event_is_that_of_its_row_or_follows_from_its_name(learner: Ledger) -> None:
    learner.materialise([event("gala", declared=False, salt=THIRD)], 1, 1)
    assert read.salt_of(ALIAS, CLUSTER, "gala") == THIRD
    assert read.salt_of(ALIAS, CLUSTER, "default") == default_salt(CLUSTER, "default")
    assert read.event_row(ALIAS, "default") is None


# --- operations and nodes --------------------------------------------------------------------------


def state_of(number: str, state: State = State.CONSUMED) -> bytes:
    return canonical.encode(
        TicketState("default", number, state, "", START, 9, 0, "admit", "g", "a", b"", "n", "", "", (1,))
    )


def terms(**fields: Any) -> Terms:
    first = {"product": "Day pass", "seat": "", "commitment": b"", "data": b"", "metadata": ()}
    return Terms(**{"not_before": 0, "not_after": 0, **first, **fields})


def scan(code: bytes | None, number: str = "") -> Operation:
    return build(Admit("north", "", code), ticket=number, actor="gate-a", entry="node0", valid_until=START)


def test_an_operation_is_listed_under_the_ticket_of_its_outcome(learner: Ledger) -> None:
    """Where no ticket has the code, what the operation names is the text that was scanned: it is not told."""
    told = answered(state_of("T-7"), terms(codes=(FIRST,)))
    scans = [
        (scan(FIRST), Outcome("ok", told)),
        (scan(SECOND, "a-scanned-text"), Outcome("revoked", told)),
        (scan(THIRD), Outcome("barcode_not_found", b"")),
        (scan(THIRD, "a-scanned-text"), Outcome("barcode_not_found", b"")),
        (scan(b"", "T-8"), Outcome("ticket_not_found", b"")),
        (scan(None, "T-9"), Outcome("ticket_not_found", b"")),
        (scan(None, "T-7"), Outcome("ok", state_of("T-7"))),
    ]
    record = next_entry(learner, [operation for operation, _outcome in scans])
    [frame] = canonical.decode(Batch, record.body).requests
    bundle = (decode_envelope(frame)[1], 0, tuple(outcome for _operation, outcome in scans))
    learner.notice(Executed(record.entry, record.entry_hash, (bundle,), 0))
    learner.materialise([], 10, 10)
    listed = OperationRecord.objects.using(ALIAS).order_by("id")
    assert list(listed.values_list("ticket_id", flat=True)) == ["T-7", "T-7", "", "", "T-8", "T-9", "T-7"]
    plain = read.list_operations(ALIAS, limit=99, refused=True)
    said = [one.record()["ticket_id"] for one in plain]
    assert said == ["", "", "", "", "T-8", "T-9", "T-7"], "a node's own list knows no states"


def next_entry(ledger: Ledger, operations: list[Operation]) -> EntryRecord:
    """An entry behind the nine of the ledger."""
    body, digest = batch_body(10, [operations])
    previous = ledger.entries(9, 9, 0)[0].entry_hash
    entry = Entry(0, 10, digest, bytes(32), START + 10, previous)
    record = EntryRecord(entry, entry_hash(entry), body, (b"commit",) * 3)
    ledger.append([record])
    return record
