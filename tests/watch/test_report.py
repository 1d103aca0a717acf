"""A member may answer anything."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.watch import MemberReport, read_report
from dtvn.watch.report import SECONDS_MAX

odd = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=300)),
    lambda inner: st.one_of(st.lists(inner, max_size=8), st.dictionaries(st.text(), inner, max_size=8)),
    max_leaves=20,
)
FIELDS = [*MemberReport.__struct_fields__, "heard", "quorum_round_trip_ms", "primary", "events"]


@given(st.dictionaries(st.sampled_from(FIELDS), odd))
def test_any_answer_is_a_report_of_the_types_and_sizes_that_it_declares(fields: dict[str, Any]) -> None:
    report = read_report("r0", fields)
    assert msgspec.convert(msgspec.to_builtins(report), MemberReport) == report
    assert len(msgspec.json.encode(report)) < 200_000
    assert (report.id, report.connected, report.heard, report.problem) == ("r0", False, None, "")


@pytest.mark.parametrize("value", ["yes", 1, None, [True]])
def test_only_true_is_a_vote(value: object) -> None:
    assert not read_report("r0", {"voting": value}).voting


def test_what_a_member_says_is_taken_as_it_says_it() -> None:
    told = {
        "voting": True,
        "heard": {"r1": 0.25, "r2": None},
        "round_trips": {"r1": 3.5, "r2": -1.0},
        "primary": "r1",
        "quorum_round_trip_ms": 12.5,
        "events": {"checkpoint_differs": 3, "left_view": 1},
        "withheld_ahead": -2.5,
        "log_time_ahead": SECONDS_MAX,
        "open": {"sequence": 41, "prepares": ["r1"], "open_for": 3.0},
        "awaits": ["r2", "<b>"],
    }
    report = read_report("r0", told, index=2)
    assert (report.voting, report.index, report.leader) == (True, 2, "r1")
    assert report.hears == {"r1": 0.25, "r2": None}
    assert (report.round_trip_ms, report.events["checkpoint_differs"]) == (12.5, 3)
    assert (report.withheld_ahead, report.log_time_ahead) == (-2.5, 0.0)
    assert (report.round_trips, report.awaits) == ({}, ()), "a field with anything odd in it is not read"
    assert report.open is not None
    assert (report.open.sequence, report.open.prepares, report.open.open_for) == (41, ("r1",), 3.0)
