"""Many streams at once: each by its own rules, their number bounded, the silent ones forgotten."""

from __future__ import annotations

from dtvn.events.rules import Bounds, Table
from tests.events.rules.samples import event


def test_thousands_of_streams_are_told_apart() -> None:
    table = Table()
    names = [f"run-{number}" for number in range(5_000)]
    for data in (event("RS"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF")):
        assert all(table.feed(name, data, 0.0).accepted for name in names)
    assert len(table) == 5_000
    assert table.feed("run-7", event("TC:m"), 0.0).code == "RUN_ALREADY_FINISHED"


def test_no_more_streams_than_the_bound_are_held() -> None:
    table = Table(bounds=Bounds(streams=2))
    for name in ("a", "b"):
        assert table.feed(name, event("RS"), 0.0).accepted
    assert table.feed("c", event("RS"), 0.0).code == "TOO_MANY_RUNS"
    table.close("a")
    assert table.feed("c", event("RS"), 0.0).accepted


def test_an_event_of_an_expired_stream_gets_its_own_code() -> None:
    table = Table(bounds=Bounds(streams=2, idle_seconds=10.0))
    table.feed("busy", event("RS"), 0.0)
    table.feed("silent", event("RS"), 0.0)
    assert table.feed("busy", event("CU"), 9.0).accepted
    assert table.feed("busy", event("CU"), 11.0).accepted
    assert len(table) == 1
    assert table.feed("silent", event("CU"), 11.0).code == "RUN_EXPIRED"
    assert table.feed("other", event("CU"), 11.0).code == "FIRST_EVENT"
    assert table.feed("silent", event("RS"), 11.0).accepted
    assert table.feed("silent", event("CU"), 11.0).accepted


def test_a_stream_that_never_began_is_not_held() -> None:
    table = Table()
    for number in range(10):
        assert table.feed(str(number), event("CU"), 0.0).code == "FIRST_EVENT"
    assert len(table) == 0


def test_the_names_of_forgotten_streams_are_bounded() -> None:
    table = Table(bounds=Bounds(streams=2, idle_seconds=1.0))
    for number in range(10):
        assert table.feed(f"run-{number}", event("RS"), number * 2.0).accepted
    assert table.feed("run-0", event("CU"), 40.0).code == "FIRST_EVENT"
    assert table.feed("run-9", event("CU"), 40.0).code == "RUN_EXPIRED"
