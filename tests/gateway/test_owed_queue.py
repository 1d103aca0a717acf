"""The queue of owed judgements: its order, its bounds, and what is in its file."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from dtvn.files.kept import FolderError
from dtvn.gateway.events_face import RunPlace
from dtvn.gateway.owed import Difference, OwedEvent, OwedRun, SettledRun
from dtvn.gateway.owed_queue import OwedQueue, OwedRefused
from dtvn.gateway.validator_answers import failed

NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)


def event(index: int, text: bytes = b"{}", here: str | None = "") -> OwedEvent:
    return OwedEvent(index, bytes([index]) * 16, text, here)


def owed(name: str, *events: OwedEvent, place: RunPlace | None = None) -> OwedRun:
    return OwedRun(0, "thread", name, "pbft", None, place, NOW, events or (event(0),))


def settled(run: OwedRun, *differences: Difference) -> SettledRun:
    texts = tuple(each.text for each in run.events)
    return SettledRun(
        run.id, run.thread, run.run, run.made, NOW, 0, texts, {}, failed("NO_CERTIFICATE", "so"), differences
    )


def taken(queue: OwedQueue, number: int) -> OwedRun:
    found = queue.find(number)
    assert found is not None
    return found


@pytest.fixture(params=["memory", "folder"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> OwedQueue:
    return OwedQueue(None if request.param == "memory" else tmp_path / "owed")


def test_further_results_of_a_run_follow_its_first(queue: OwedQueue) -> None:
    number = queue.add(owed("a"))
    queue.extend(number, [event(1, here="NOT_NEXT")])
    assert [each.index for each in taken(queue, number).events] == [0, 1]
    assert (queue.counts().runs, queue.counts().results) == (1, 2)
    with pytest.raises(KeyError):
        queue.extend(number + 1, [event(1)])


def test_a_run_is_settled_once_and_kept_until_it_is_forgotten(queue: OwedQueue) -> None:
    number = queue.add(owed("a"))
    done = settled(taken(queue, number), Difference(0, "", "NOT_JSON"))
    assert [queue.settle(done), queue.settle(done)] == [True, False]
    assert (queue.next_waiting(), queue.waiting(), queue.settled()) == (None, [], [done])
    with pytest.raises(KeyError):
        queue.extend(number, [event(1)])
    counts = queue.counts()
    assert (counts.runs, counts.settled, counts.differences) == (0, 1, 1)
    queue.forget(number)
    assert (queue.settled(), queue.counts().settled) == ([], 1)
    assert queue.add(owed("b")) > number, "an id names one run for ever"


@pytest.mark.parametrize(("bound", "most"), [("RESULTS_MAX", 3), ("BYTES_MAX", 7)])
def test_what_finds_no_place_is_refused_and_changes_nothing(
    queue: OwedQueue, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(f"dtvn.gateway.owed_queue.{bound}", most)
    number = queue.add(owed("a"))
    queue.extend(number, [event(1)])
    queue.add(owed("b"))
    before = queue.waiting()
    with pytest.raises(OwedRefused, match="wait for the members' judgement already"):
        queue.add(owed("c"))
    with pytest.raises(OwedRefused):
        queue.extend(number, [event(2)])
    assert queue.waiting() == before
    queue.settle(settled(taken(queue, number)))
    queue.add(owed("c"))


def test_a_queue_is_found_again_and_one_at_a_time_has_it(tmp_path: Path) -> None:
    queue = OwedQueue(tmp_path)
    number = queue.add(owed("a"))
    with pytest.raises(FolderError, match="each needs a folder of its own"):
        OwedQueue(tmp_path)
    queue.close()
    again = OwedQueue(tmp_path)
    assert taken(again, number).run == "a"
    again.close()


def test_a_full_disk_refuses_a_place(tmp_path: Path) -> None:
    queue = OwedQueue(tmp_path)
    queue.add(owed("a"))
    pages = queue._database.execute("PRAGMA page_count").fetchone()[0]
    queue._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OwedRefused, match="full"):
        queue.add(owed("b", event(0, b"x" * 100_000)))
    assert [each.run for each in queue.waiting()] == ["a"]


@pytest.mark.parametrize("content", [b"no database at all, but a text", "newer"])
def test_a_file_that_is_no_queue_is_named(tmp_path: Path, content: bytes | str) -> None:
    if isinstance(content, bytes):
        (tmp_path / "owed.sqlite3").write_bytes(content * 100)
    else:
        with sqlite3.connect(tmp_path / "owed.sqlite3") as other:
            other.execute("PRAGMA user_version = 99")
    for _ in range(2):  # the lock is given back
        with pytest.raises(FolderError) as error:
            OwedQueue(tmp_path)
        assert str(tmp_path) in str(error.value)
        assert "uses the queue" not in str(error.value)
    assert (tmp_path / "owed.lock").exists()


STEPS = st.tuples(st.sampled_from(("add", "extend", "settle", "forget")), st.integers(1, 4))


@settings(max_examples=40, deadline=None)
@drawn(st.lists(STEPS, max_size=12))
def test_a_queue_on_disk_is_as_one_in_memory_after_each_restart(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        memory, disk = OwedQueue(None), OwedQueue(Path(folder))
        for step, number in steps:
            found = memory.find(number)
            done = None if found is None else settled(found)
            for queue in (memory, disk):
                if step == "add":
                    queue.add(owed(f"run-{number}"))
                elif step == "forget":
                    queue.forget(number)
                elif found is not None and step == "extend":
                    queue.extend(number, [event(len(found.events))])
                elif done is not None:
                    assert queue.settle(done)
            disk.close()
            disk = OwedQueue(Path(folder))
            assert disk.waiting() == memory.waiting()
            assert disk.settled() == memory.settled()
            assert [disk.find(each) for each in range(1, 13)] == [memory.find(each) for each in range(1, 13)]
        disk.close()
