"""What pages read: pages of lists by key, counts from counters, figures of the store."""

from collections.abc import Iterator

import msgspec
import pytest

from dtvn.ledger import Location
from dtvn.machine.rows import TicketRow
from tests.ledger.samples import CLUSTER, LogWriter, executed, ticket
from tests.ledger.test_append import reopened
from tests.ledger.test_materialise import change
from validators.data_folder.routers import LearnerIsReadOnly
from validators.ledger import Ledger, open_ledger, read
from validators.ledger.meta import read_meta, replace_meta
from validators.ledger.models import OperationRecord, Ticket
from validators.ledger.outcomes import Listed

ALIAS = "ledger-under-test"


def test_tickets_are_listed_in_pages_by_key(ledger: Ledger) -> None:
    rows = [ticket(f"T-{number:02d}", event=event) for event in "ab" for number in range(7)]
    ledger.append(LogWriter().entries(1))
    ledger.materialise([change(row) for row in reversed(rows)], 1, 1)
    seen = []
    after = ("", "")
    while page := read.list_tickets(ALIAS, limit=4, after=after):
        assert len(page) <= 4
        seen += page
        after = (page[-1].event, page[-1].ticket)
    assert seen == rows
    assert read.read_ticket(ALIAS, "b", "T-03") == rows[10]
    assert read.read_ticket(ALIAS, "b", "T-99") is None


def test_tickets_are_filtered_by_event_state_and_prefix(ledger: Ledger) -> None:
    ledger.append(LogWriter().entries(1))
    states = ("ISSUED", "VALIDATED", "ISSUED", "CONSUMED")
    rows = [ticket(f"T-{number}", state=state) for number, state in enumerate(states)]
    ledger.materialise([change(row) for row in [*rows, ticket("U-1"), ticket("T-1", event="x")]], 1, 1)
    issued = read.list_tickets(ALIAS, limit=9, event="default", state="ISSUED")
    assert [row.ticket for row in issued] == ["T-0", "T-2", "U-1"]
    assert [row.ticket for row in read.list_tickets(ALIAS, limit=9, prefix="U")] == ["U-1"]
    assert read.starting_with(Ticket.objects.using(ALIAS), "ticket_id", "T-").count() == 5


def disputed(number: int, *, upheld: bool) -> TicketRow:
    return ticket(f"T-{number}", state="DISPUTED", upheld=upheld)


NONE = {"ISSUED": 0, "VALIDATED": 0, "CONSUMED": 0, "DISPUTED": 0, "UPHELD": 0}


def test_a_ledger_of_the_form_before_sets_upheld_apart(ledger: Ledger) -> None:
    """Until schema 3 column and counter had one state for both."""
    ledger.append(LogWriter().entries(1))
    rows = [*(disputed(number, upheld=number < 2) for number in range(5)), ticket("T-9")]
    ledger.materialise([change(row) for row in rows], 1, 1)
    for sql in (
        "UPDATE ledger_ticket SET state = 'DISPUTED' WHERE state = 'UPHELD'",
        "DELETE FROM ledger_counter WHERE name = 'ticket/UPHELD/default'",
        "UPDATE ledger_counter SET value = 5 WHERE name = 'ticket/DISPUTED/default'",
        "DROP INDEX tickets_blocked",
        "ALTER TABLE ledger_ticket DROP COLUMN blocked",
        "DROP TABLE ledger_ticketcode",
        "DELETE FROM django_migrations WHERE name IN ('0003_upheld', '0004_codes')",
    ):
        ledger._store.define(sql)
    found = read_meta(ledger._store)
    assert found is not None
    before = msgspec.structs.replace(found[0], schema=2)
    ledger._store.commit(replace_meta(before, held_by=before.incarnation), [], durable=True)
    again, tail = reopened(ledger)
    try:
        assert sorted(change.row.ticket for change in tail.rows) == [row.ticket for row in rows]
        assert read.count_tickets(again.alias) == {**NONE, "ISSUED": 1, "DISPUTED": 3, "UPHELD": 2}
    finally:
        again.close()


@pytest.fixture
def log(ledger: Ledger) -> LogWriter:
    """Twenty entries of three operations: one applied, one refused, one applied."""
    writer = LogWriter()
    records = [writer.entry(operations=3) for _ in range(20)]
    ledger.append(records)
    for record in records:
        ledger.notice(executed(record, ["ok", "already_validated", "ok"]))
    ledger.materialise([], 20, 1)
    return writer


def test_operations_are_read_out_of_batches_and_outcomes(log: LogWriter) -> None:
    plain = read.list_operations(ALIAS, limit=1_000)
    assert [(one.sequence, one.index) for one in plain] == [
        (sequence, index) for sequence in range(1, 21) for index in (0, 2)
    ]
    assert {one.code for one in plain} == {"ok"}
    assert plain[3].operation.ticket == "T-2-2"
    assert plain[3].timestamp == log.records[1].entry.timestamp
    assert read.count_operations(ALIAS) == 40
    assert read.count_operations(ALIAS, refused=True) == 60


def test_operations_come_in_pages_by_place(log: LogWriter) -> None:
    everything = read.list_operations(ALIAS, limit=1_000, refused=True)
    seen = []
    after = (0, -1)
    while page := read.list_operations(ALIAS, limit=7, after=after, refused=True):
        seen += page
        after = (page[-1].sequence, page[-1].index)
    assert seen == everything
    assert len(everything) == 60


def test_the_plain_log_leaves_out_seed_issue_sessions_and_barriers(ledger: Ledger) -> None:
    writer = LogWriter()
    kinds = ["open_session", "barrier", "seed", "issue", "admit", "resolve"]
    record = writer.entry(kinds=kinds)
    ledger.append([record])
    ledger.notice(executed(record, ["ok"] * len(kinds)))
    ledger.materialise([], 1, 1)
    assert kinds_of(read.list_operations(ALIAS, limit=9)) == ["admit", "resolve"]
    assert kinds_of(read.list_operations(ALIAS, limit=9, all_kinds=True)) == kinds[2:]
    for state, shown in (("ISSUED", ["seed", "issue"]), ("CONSUMED", ["admit"]), ("VALIDATED", [])):
        assert kinds_of(read.list_operations(ALIAS, limit=9, state=state)) == shown
        assert read.count_operations(ALIAS, state=state) == len(shown)
    assert read.count_operations(ALIAS, all_kinds=True) == 4


def test_entries_that_hold_only_issues_are_listed_by_their_state(ledger: Ledger) -> None:
    writer = LogWriter()
    for height, kinds in enumerate((["issue", "issue"], ["issue", "admit"], ["issue"]), 1):
        record = writer.entry(kinds=kinds)
        ledger.append([record])
        ledger.notice(executed(record, ["ok"] * len(kinds)))
        ledger.materialise([], height, height)
    assert kinds_of(read.list_operations(ALIAS, limit=9, state="ISSUED")) == ["issue"] * 4
    assert read.count_operations(ALIAS, state="ISSUED") == 4
    assert kinds_of(read.list_operations(ALIAS, limit=9)) == ["admit"]


@pytest.fixture
def indexed(place: Location) -> Iterator[Ledger]:
    opened = open_ledger(place, cluster_id=CLUSTER, alias=ALIAS, indexed=True)
    opened.load()
    yield opened
    opened.close()


def test_an_indexed_ledger_has_a_row_for_each_operation(indexed: Ledger) -> None:
    writer = LogWriter()
    record = writer.entry(operations=3)
    indexed.append([record])
    indexed.notice(executed(record, ["ok", "already_validated", "ok"]))
    indexed.materialise([], 1, 1)
    rows = OperationRecord.objects.using(ALIAS).order_by("id")
    listed = read.list_operations(ALIAS, limit=9, refused=True)
    assert [(row.sequence, row.batch_index, row.code, row.ticket_id) for row in rows] == [
        (one.sequence, one.index, one.code, one.operation.ticket) for one in listed
    ]
    assert [bytes(row.digest) for row in rows] == [one.digest for one in listed]
    assert [bytes(row.request) for row in rows] == [one.request for one in listed]
    assert {row.view for row in rows} == {one.view for one in listed} == {5}


def test_what_a_malformed_operation_holds_fits_the_columns(indexed: Ledger) -> None:
    """PostgreSQL refuses a NUL; a client's text must never stop a learner."""
    record = LogWriter().entry(kinds=["k\0" * 100], tickets=["\0" + "t" * 1_000])
    indexed.append([record])
    indexed.notice(executed(record, ["malformed"]))
    indexed.materialise([], 1, 1)
    row = OperationRecord.objects.using(ALIAS).get()
    assert row.ticket_id == "?" + "t" * 127
    assert len(row.operation) == 32
    assert "\0" not in row.operation
    assert read.count_operations(ALIAS, refused=True) == 1


def test_storage_figures_have_the_contracts_keys(ledger: Ledger) -> None:
    ledger.append(LogWriter().entries(3))
    stats = read.storage_stats(ALIAS)
    assert tuple(stats) == read.STORAGE_KEYS
    assert len(stats) == 14
    assert stats["write"] == stats["tx_count"] == 1
    assert stats["page_count"] >= 10
    assert stats["page_alloc"] > 10_000


def test_the_newest_checkpoint_is_returned(ledger: Ledger) -> None:
    assert read.newest_checkpoint(ALIAS) is None
    writer = LogWriter()
    ledger.append([*writer.entries(2), writer.checkpoint()])
    found = read.newest_checkpoint(ALIAS)
    assert found is not None
    assert (found.sequence, found.log_root) == (2, writer.checkpoint().log_root)


def kinds_of(listed: list[Listed]) -> list[str]:
    return [one.operation.kind for one in listed]


def test_r28_the_platform_cannot_write_what_the_learner_verified() -> None:
    with pytest.raises(LearnerIsReadOnly, match="Ticket rows are written by the learner"):
        Ticket.objects.filter(ticket_id="T-1").update(state="CONSUMED")
    with pytest.raises(LearnerIsReadOnly):
        Ticket(event="default", ticket_id="T-1").save()
    with pytest.raises(LearnerIsReadOnly):
        OperationRecord.objects.all().delete()
