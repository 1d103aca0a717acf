"""kill -9 at any point: acknowledged turns are there, others are whole or absent."""

from __future__ import annotations

import pytest

from dtvn.ledger import Location
from dtvn.protocol.consensus.effects import Prune, Record, StateRecord
from dtvn.protocol.host.ports import LedgerTail
from tests.ledger.children import end_now, reopen_when_free, run_in_child
from tests.ledger.samples import CLUSTER, START, LogWriter, executed, slot, ticket
from tests.ledger.test_materialise import change
from validators.ledger import Ledger, open_ledger

ALIAS = "ledger-in-child"


def first_turns(ledger: Ledger, writer: LogWriter) -> None:
    ledger.append([*writer.entries(2), slot("pre_prepare", 2), slot("prepare", 2), slot("commit", 2)])
    ledger.materialise([change(ticket("T-1"))], 1, START)


def last_turn(writer: LogWriter) -> list[Record]:
    """One record of each kind, so that the transaction touches every table of the log."""
    entry = writer.entry()
    return [
        slot("pre_prepare", 3, body=entry.body),
        slot("prepared", 3),
        slot("commit", 3),
        entry,
        writer.checkpoint(),
        StateRecord("voting", b"1"),
        slot("view", 0, view=1),
        Prune(2),
    ]


def statements_before_the_end(ledger: Ledger, count: int) -> None:
    """From now on, the process dies when SQLite is about to run its `count`-th statement."""
    left = [count]

    def on_statement(_text: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            end_now()

    ledger._store._connection.set_trace_callback(on_statement)  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", range(1, 18))
def test_r6_a_turn_killed_at_any_statement_is_whole_or_absent(sqlite_place: Location, count: int) -> None:
    def work() -> None:
        ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
        ledger.load()
        writer = LogWriter()
        first_turns(ledger, writer)
        statements_before_the_end(ledger, count)
        ledger.append(last_turn(writer))

    status = run_in_child(work)
    tail, voting = recovered(sqlite_place)
    assert voting, "a crash is no loss"
    writer = LogWriter()
    before = writer.entries(2)
    whole = status == 0
    if not whole:
        assert tail.entries == tuple(before)
        assert [record.phase for record in tail.slots] == ["pre_prepare", "prepare", "commit"]
        assert (tail.checkpoint, tail.states) == (None, ())
        return
    turn = last_turn(writer)
    assert tail.entries == tuple(writer.records)
    assert tail.checkpoint == turn[4]
    assert tail.states == (turn[5],)
    assert tail.slots == (turn[0], turn[1], turn[2], turn[6])


@pytest.mark.parametrize("count", range(1, 12))
def test_p20_r9_rows_killed_at_any_statement_are_whole_or_absent(sqlite_place: Location, count: int) -> None:
    def work() -> None:
        ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
        ledger.load()
        writer = LogWriter()
        first_turns(ledger, writer)
        ledger.notice(executed(writer.records[1], ["ok", "ok"]))
        statements_before_the_end(ledger, count)
        changes = [change(ticket("T-1", state="VALIDATED")), change(ticket("T-2"))]
        ledger.materialise(changes, 2, START + 1)

    status = run_in_child(work)
    ledger = reopen_when_free(sqlite_place)
    try:
        tail = ledger.load()
        states = {found.row.ticket: found.row.state for found in tail.rows}
        counters = dict(ledger._store.rows("SELECT name, value FROM ledger_counter WHERE value <> 0"))
        if status:
            assert tail.applied_sequence == 1
            assert states == {"T-1": "ISSUED"}
            assert counters == {"ticket/ISSUED/default": 1}
        else:
            assert tail.applied_sequence == 2
            assert states == {"T-1": "VALIDATED", "T-2": "ISSUED"}
            assert counters == {
                "operation/validate/ok": 2,
                "ticket/ISSUED/default": 1,
                "ticket/VALIDATED/default": 1,
            }
    finally:
        ledger.close()


def recovered(place: Location) -> tuple[LedgerTail, bool]:
    ledger = reopen_when_free(place)
    try:
        return ledger.load(), ledger.voting
    finally:
        ledger.close()
