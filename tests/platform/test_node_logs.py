"""The end of a node's log, and what it writes from now on: through rotation, cut lines and missing files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dtvn.node.logs import BEGUN, begin_log
from validators.services import node_logs
from validators.services.node_logs import Tail, last_lines, log_file


@pytest.fixture
def log(tmp_path: Path, settings: Any) -> Path:
    settings.DATA = tmp_path
    path = log_file("node0")
    path.parent.mkdir(parents=True)
    return path


def line(number: int, level: str = "INFO    ") -> str:
    return f"2026-11-20T10:00:00.{number % 1000:03d}Z {level} line {number}\n"


def test_a_node_without_output_has_no_lines(log: Path) -> None:
    assert last_lines("node0", 10) == []


def test_each_line_is_marked_as_stdout_or_stderr(log: Path) -> None:
    log.write_text(
        line(1) + line(2, "WARNING ") + "Traceback (most recent call last):\n" + line(3, "DEBUG   ")
    )
    assert [text.split("]")[0] for text in last_lines("node0", 10)] == [
        *("[stdout", "[stderr", "[stderr", "[stdout")
    ]


def test_the_newest_lines_are_read_backwards_and_across_a_rotation(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_logs, "READ_AT_ONCE", 100)
    log.with_name("node.log.1").write_text("".join(map(line, range(50))))
    log.write_text("".join(map(line, range(50, 60))))
    told = last_lines("node0", 25)
    assert [int(text.rsplit(" ", 1)[1]) for text in told] == list(range(35, 60))
    assert last_lines("node0", 3) == told[-3:]


def test_no_more_lines_are_returned_than_requested(log: Path) -> None:
    log.write_text("".join(map(line, range(3_000))))
    assert [text.rsplit(" ", 1)[1] for text in last_lines("node0", 1_000)] == [
        str(number) for number in range(2_000, 3_000)
    ]


def test_the_shown_log_begins_at_the_last_requested_start(log: Path) -> None:
    begun = f"2026-11-20T10:00:01.000Z INFO     {BEGUN}\n"
    log.write_text(line(1) + begun + line(2) + begun + line(3))
    assert last_lines("node0", 10) == [f"[stdout] {begun.strip()}", f"[stdout] {line(3).strip()}"]
    assert last_lines("node0", 1) == [f"[stdout] {line(3).strip()}"]
    log.rename(log.with_name("node.log.1"))
    log.write_text(line(4) + line(5))
    assert len(last_lines("node0", 10)) == 4, "through a rotation"


def test_the_line_written_at_a_start_is_recognised(log: Path) -> None:
    log.write_text(line(1))
    begin_log(log.parent.parent)
    (told,) = last_lines("node0", 10)
    assert told.endswith(BEGUN)


def test_a_tail_returns_each_complete_line_once(log: Path) -> None:
    log.write_text(line(1))
    tail = Tail(log)
    assert tail.fresh() == []
    with log.open("a") as file:
        file.write(line(2) + "half a")
    assert [text[-6:] for text in tail.fresh()] == ["line 2"]
    with log.open("a") as file:
        file.write(" line\n")
    assert tail.fresh() == ["half a line"]


def test_a_tail_continues_in_the_file_after_a_rotation(log: Path) -> None:
    log.write_text(line(1))
    tail = Tail(log)
    log.rename(log.with_name("node.log.1"))
    log.write_text(line(2))
    assert len(tail.fresh()) == 1
    assert tail.fresh() == []


def test_a_tail_begins_again_in_a_file_that_was_emptied(log: Path) -> None:
    log.write_text(line(1) + line(2))
    tail = Tail(log)
    log.write_text(line(3))
    assert [text[-6:] for text in tail.fresh()] == ["line 3"]
    assert tail.fresh() == []


def test_a_tail_waits_for_a_missing_file(log: Path) -> None:
    tail = Tail(log)
    assert tail.fresh() == []
    log.write_text(line(1))
    assert len(tail.fresh()) == 1
