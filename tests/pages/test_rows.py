"""Rows as events: frames hold whole sequences, and frames after a snapshot make the next snapshot."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connections

from tests.pages.learner import RealLearner
from validators.feed.rows import read_applied, read_frame, read_snapshot

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

Operate = Callable[..., object]


def test_a_seed_event_has_the_number_of_tickets_created(learner: RealLearner, operate: Operate) -> None:
    operate("issue TICKET-007", "issue TICKET-008", "issue OTHER-1")
    operate("seed")
    operate("seed")
    counts = [event["count"] for event in read_frame(0).events if event["type"] == "tickets_seeded"]
    assert counts == [498, 0]


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


def test_a_log_that_continues_another_cluster_begins_late(learner: RealLearner, operate: Operate) -> None:
    """`genesis continue` and a state taken from other nodes bring no entries of the sequences before."""
    for number in range(8):
        operate(f"issue T-{number}", f"admit T-{number}")
    with connections["learner"].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_consensusentry WHERE sequence < 6")
    snapshot = read_snapshot()
    assert sum(operations for _, operations in snapshot["rates"]) > 0


def test_a_scan_that_was_ordered_twice_admits_once(learner: RealLearner, operate: Operate) -> None:
    """A gate repeats it under its nonce after a time-out (R13)."""
    operate("issue T-1", "admit T-1 n")
    operate("admit T-1 n")
    told = [(event["code"], event.get("repeated", False)) for event in read_frame(0).events]
    assert told == [("ok", False), ("ok", False), ("ok", True)]
