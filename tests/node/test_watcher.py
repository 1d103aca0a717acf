"""Notes of a node are always counted, logged with a limit, and cannot be forged by a peer's text."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dtvn.node.logs import node_logger
from dtvn.node.watcher import NodeWatcher, line
from dtvn.protocol.consensus.effects import Executed, Note, Reason
from tests.support.table import table


def refusal(reason: Reason, peer: str = "node1") -> Note:
    return Note(kind="refused", fields={"peer": peer, "reason": reason.value, "text": "x", "frame": "ab"})


@pytest.fixture
def logger(request: pytest.FixtureRequest) -> logging.Logger:
    logger = logging.getLogger(f"test.{request.node.name}")
    logger.setLevel(logging.DEBUG)
    return logger


def test_refusals_are_counted(logger: logging.Logger) -> None:
    watcher = NodeWatcher(logger, lambda peer: 0)
    watcher.notice(refusal(Reason.OLD_VIEW))
    watcher.notice(Note("refused", {**refusal(Reason.OLD_VIEW).fields, "times": 39}))
    assert watcher.refused == {("node1", "old_view"): 40}


def test_only_forgeries_lead_to_a_mute(logger: logging.Logger) -> None:
    asked: list[str] = []

    def mute(peer: str) -> int:
        asked.append(peer)
        return 2_000_000_000

    watcher = NodeWatcher(logger, mute)
    for reason in Reason:
        watcher.notice(refusal(reason, peer=reason.value))
    assert asked == ["malformed", "too_large", "bad_signature"]
    assert watcher.events["muted"] == 3


def test_repeated_refusals_of_one_peer_are_logged_once_per_interval(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = NodeWatcher(logger, lambda peer: 0)
    with caplog.at_level(logging.DEBUG):
        for _ in range(1_000):
            watcher.notice(refusal(Reason.BAD_SIGNATURE))
    assert [record.getMessage() for record in caplog.records] == [
        "refused peer=node1 reason=bad_signature text=x frame=ab count=1"
    ]


def test_r3_votes_withheld_for_time_are_all_counted_and_logged_rarely(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = NodeWatcher(logger, lambda peer: 0)
    with caplog.at_level(logging.DEBUG):
        for sequence in range(1_000):
            fields = {"sequence": sequence, "reason": "bad_timestamp", "ahead_us": 3_600_000_000}
            watcher.notice(Note("abstained", fields))
        watcher.notice(Note("abstained", {"sequence": 7, "reason": "bad_batch"}))
    assert watcher.events["abstained"] == 1_001
    said = "withheld: the proposal's time is 3,600 s ahead of my clock"
    assert [record.getMessage() for record in caplog.records] == [
        f'abstained sequence=0 reason=bad_timestamp ahead_us=3600000000 note="{said}" formerly=withheld',
        "abstained sequence=7 reason=bad_batch formerly=withheld",
    ]


def test_important_notes_are_logged_as_warnings_or_errors(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = NodeWatcher(logger, lambda peer: 0)
    with caplog.at_level(logging.DEBUG):
        watcher.notice(Note(kind="entered_view", fields={"view": 2}))
        watcher.notice(Note(kind="evidence", fields={"against": 1}))
        watcher.notice(Note(kind="alarm", fields={"sequence": 3}))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "entered_view view=2"),
        ("ERROR", "evidence against=1"),
        ("CRITICAL", "alarm sequence=3"),
    ]


def test_notes_are_passed_to_an_additional_observer(logger: logging.Logger) -> None:
    seen: list[Executed | Note] = []
    watcher = NodeWatcher(logger, lambda peer: 0, also=seen.append)
    note = Note(kind="caught_up", fields={})
    watcher.notice(note)
    assert seen == [note]


@table(
    ("value", "text"),
    [
        (b"\xab", "ab"),
        (7, "7"),
        ("", '""'),
        ("two words", '"two words"'),
        ("fake\nstopped sequence=9", '"fake\\nstopped sequence=9"'),
        ("\x1b[31m", '"\\u001b[31m"'),
    ],
    count=6,
)
def test_no_value_can_begin_a_line_of_its_own(value: object, text: str) -> None:
    assert line("event", {"key": value}) == f"event key={text}"


def test_a_search_for_the_old_name_finds_a_renamed_line() -> None:
    assert line("abstained", {"sequence": 3}) == "abstained sequence=3 formerly=withheld"


def test_the_log_is_kept_in_the_nodes_folder(tmp_path: Path) -> None:
    first = node_logger(tmp_path / "node7")
    again = node_logger(tmp_path / "node7")
    assert first is again
    assert len(first.handlers) == 1
    first.info("%s", line("started", {"node": "node7"}))
    [handler] = first.handlers
    handler.flush()
    assert "started node=node7" in (tmp_path / "node7/log/node.log").read_text(encoding="utf-8")
    first.removeHandler(handler)
    handler.close()
