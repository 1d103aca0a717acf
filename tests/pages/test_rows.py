"""Rows as events: frames hold whole sequences, and frames after a snapshot make the next snapshot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from dtvn.api.queries import RecordsQuery
from tests.pages.learner import RealLearner
from validators.data_folder.routers import LEARNER_ALIAS
from validators.feed import rows
from validators.feed.rows import read_applied, read_frame, read_snapshot
from validators.ledger import copy_reader, read
from validators.ledger.copy_reader import CopyReader
from validators.ledger.models import OperationRecord

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

Operate = Callable[..., object]


def test_a_frame_lists_each_applied_operation_and_each_refusal(
    learner: RealLearner, operate: Operate
) -> None:
    start = read_applied()
    operate("issue T-1", "validate T-1", "validate T-1", "consume T-1", "admit T-2")
    frame = read_frame(start)
    told = [(event["type"], event["ticket_id"], event["code"], event.get("state")) for event in frame.events]
    assert told == [
        ("ticket_issued", "T-1", "ok", "ISSUED"),
        ("ticket_validated", "T-1", "ok", "VALIDATED"),
        ("operation_refused", "T-1", "already_validated", None),
        ("ticket_consumed", "T-1", "ok", "CONSUMED"),
        ("operation_refused", "T-2", "ticket_not_found", None),
    ]
    assert (frame.after, frame.to) == (start, start + 1)
    assert frame.counts == {
        "ISSUED": 0, "VALIDATED": 0, "CONSUMED": 1, "DISPUTED": 0, "UPHELD": 0, "applied": 3, "refused": 2,
    }  # fmt: skip
    assert [event["index"] for event in frame.events] == [0, 1, 2, 3, 4]


def test_sessions_and_barriers_move_the_sequence_without_an_event(learner: RealLearner) -> None:
    frame = read_frame(0)
    assert (frame.to, frame.events) == (1, ())


def test_changes_that_concern_no_ticket_are_sent_too(learner: RealLearner, operate: Operate) -> None:
    """A frame that could not be made would hold up all that follow it, for every browser."""
    start = read_applied()
    operate("enlist", "issue T-1")
    told = [(event["type"], event["operation"], event.get("state")) for event in read_frame(start).events]
    assert told == [("cluster_changed", "add_principal", None), ("ticket_issued", "issue", "ISSUED")]
    assert [event["operation"] for event in read_snapshot()["latest"]] == ["issue", "add_principal"]


def test_a_seed_event_has_the_number_of_tickets_created(learner: RealLearner, operate: Operate) -> None:
    operate("issue TICKET-007", "issue TICKET-008", "issue OTHER-1")
    operate("seed")
    operate("seed")
    counts = [event["count"] for event in read_frame(0).events if event["type"] == "tickets_seeded"]
    assert counts == [498, 0]


def test_a_dispute_that_was_upheld_leaves_the_ticket_disputed(learner: RealLearner, operate: Operate) -> None:
    operate("issue T-1", "validate T-1", "dispute T-1", "clear T-1", "dispute T-1", "uphold T-1")
    told = [event for event in read_frame(0).events if event["type"] == "ticket_resolved"]
    assert [(event["state"], event["verdict"]) for event in told] == [
        ("VALIDATED", "clear"),
        ("DISPUTED", "uphold"),
    ]


def test_the_log_reads_the_same_however_few_rows_at_once(
    learner: RealLearner, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        verdict = "uphold" if number % 2 else "clear"
        operate(f"issue T-{number}", f"validate T-{number}", f"dispute T-{number}", f"{verdict} T-{number}")
    records = list(OperationRecord.objects.order_by("id"))
    sequences = [record.sequence for record in records]
    query = RecordsQuery(limit=20, after=None, refused=False, all_kinds=False, state=None)

    def told() -> Any:
        page = CopyReader(LEARNER_ALIAS).list_records(query)
        return read.verdicts(LEARNER_ALIAS, records), read.operations_at(LEARNER_ALIAS, sequences), page

    whole = told()
    assert [len(part) for part in (*whole[:2], whole[2].items)] == [5, len(records), 15]
    monkeypatch.setattr(read, "VERDICTS_AT_ONCE", 2)
    monkeypatch.setattr(read, "ENTRIES_AT_ONCE", 2)
    monkeypatch.setattr(copy_reader, "ROWS_AT_ONCE", 2)
    assert told() == whole


def test_what_an_upheld_dispute_refuses_is_shown_as_upheld(learner: RealLearner, operate: Operate) -> None:
    """The contract's code is the same before and after."""
    start = read_applied()
    operate("issue T-1", "validate T-1", "dispute T-1", "admit T-1", "uphold T-1", "admit T-1", "dispute T-1")
    refused = [event for event in read_frame(start).events if event["type"] == "operation_refused"]
    assert [(event["code"], event["shown"]) for event in refused] == [
        ("disputed", "disputed"),
        ("disputed", "upheld"),
        ("already_disputed", "already_upheld"),
    ]


def test_a_long_log_is_split_into_frames_of_whole_sequences(learner: RealLearner, operate: Operate) -> None:
    for batch in range(4):
        operate(*(f"issue T-{batch}-{number}" for number in range(5)))
    after, frames = 1, []
    while (frame := read_frame(after, events_max=12)).to > after:
        frames.append(frame)
        after = frame.to
    assert [(frame.after, frame.to, len(frame.events)) for frame in frames] == [(1, 3, 10), (3, 5, 10)]


def test_a_sequence_longer_than_a_frame_is_not_cut(learner: RealLearner, operate: Operate) -> None:
    operate(*(f"issue T-{number}" for number in range(30)))
    operate("issue LAST")
    frame = read_frame(1, events_max=10)
    assert (frame.to, len(frame.events)) == (2, 30)


def test_r17_rows_not_yet_written_are_in_no_frame(learner: RealLearner, operate: Operate) -> None:
    learner.lagging = True
    operate("issue T-1")
    assert read_frame(1).to == 1
    learner.catch_up()
    assert read_frame(1).to == 2


def test_a_snapshot_shows_the_newest_outcomes_first(learner: RealLearner, operate: Operate) -> None:
    operate(*(f"issue T-{number}" for number in range(60)))
    snapshot = read_snapshot()
    assert snapshot["sequence"] == 2
    assert [event["ticket_id"] for event in snapshot["latest"]] == [f"T-{n}" for n in range(59, 19, -1)]
    assert sum(operations for _, operations in snapshot["rates"]) == 61


def test_a_log_that_continues_another_cluster_begins_late(learner: RealLearner, operate: Operate) -> None:
    """`genesis continue` and a state taken from other nodes bring no entries of the sequences before."""
    for number in range(8):
        operate(f"issue T-{number}", f"admit T-{number}")
    with connections["learner"].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_consensusentry WHERE sequence < 6")
    snapshot = read_snapshot()
    assert sum(operations for _, operations in snapshot["rates"]) > 0


def test_an_empty_learner_has_an_empty_snapshot(learner: RealLearner) -> None:
    snapshot = read_snapshot()
    assert snapshot["latest"] == []
    assert snapshot["counts"]["ISSUED"] == 0


def test_every_query_of_the_feed_uses_an_index(learner: RealLearner, operate: Operate) -> None:
    """A million operations: walking them costs a second, for each frame of each 50 milliseconds."""
    operate("issue T-1", "validate T-1", "consume T-1")
    with CaptureQueriesContext(connections["learner"]) as queries:
        read_frame(1)
        read_snapshot()
    statements = [query["sql"] for query in queries.captured_queries if query["sql"].startswith("SELECT")]
    with connections["learner"].cursor() as cursor:
        for sql in statements:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = [row[-1] for row in cursor.fetchall()]
            walked = [step for step in plan if step.startswith("SCAN")]
            assert all("counter" in step or "ledgermeta" in step for step in walked), (sql, plan)


def test_a_scan_that_was_ordered_twice_admits_once(learner: RealLearner, operate: Operate) -> None:
    """A gate repeats it under its nonce after a time-out (R13)."""
    operate("issue T-1", "admit T-1 n")
    operate("admit T-1 n")
    told = [(event["code"], event.get("repeated", False)) for event in read_frame(0).events]
    assert told == [("ok", False), ("ok", False), ("ok", True)]


@pytest.mark.parametrize(
    ("zone", "now", "start", "hours"),
    [
        ("UTC", "2026-11-23T10:00:00+00:00", "2026-11-23T00:00:00+00:00", 24),
        ("Europe/Berlin", "2026-11-22T23:30:00+00:00", "2026-11-22T23:00:00+00:00", 24),
        ("Europe/Berlin", "2026-03-29T10:00:00+00:00", "2026-03-28T23:00:00+00:00", 23),
        ("America/Los_Angeles", "2026-11-23T02:00:00+00:00", "2026-11-22T08:00:00+00:00", 24),
    ],
)
def test_a_day_is_one_in_the_time_zone_of_events(
    settings: Any, zone: str, now: str, start: str, hours: int
) -> None:
    settings.EVENT_TIME_ZONE = zone
    found = rows.day(datetime.fromisoformat(now))
    assert found["start"] == datetime.fromisoformat(start).timestamp()
    assert (found["end"] - found["start"], found["zone"]) == (hours * 3600, zone)
