"""A start asks at the broker whether workers of another run answer for this platform."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.messaging import Consumer, Producer

from dtvn.node.options import StartError
from validators.data_folder.folder import DataFolder
from validators.processes import roll_call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    made = DataFolder(tmp_path)
    made.create()
    made.identity.write_text(f"{tmp_path.name[-4:]:0>12}abcd\n")
    monkeypatch.setenv("DTVN_DATA", str(tmp_path))
    monkeypatch.setattr(roll_call, "ANSWERED_WITHIN", 0.05)
    return made


@pytest.fixture
def connection() -> Iterator[Connection]:
    with Connection("memory://") as opened:
        yield opened


def waiting(connection: Connection, folder: DataFolder) -> int:
    """Questions that nobody has taken."""
    return int(roll_call.questions_queue(folder)(connection.default_channel).queue_declare().message_count)


def test_a_start_is_refused_while_workers_of_another_run_answer(
    connection: Connection, folder: DataFolder
) -> None:
    roll_call.refuse_if_answered(connection, folder)
    assert waiting(connection, folder) == 0, "no question stays behind"
    step = roll_call.Answering.__new__(roll_call.Answering)
    [consumer] = step.get_consumers(connection.channel())
    with consumer, pytest.raises(StartError, match=f"runs on {os.uname().nodename} .*stop it there"):
        roll_call.refuse_if_answered(connection, folder)
    assert waiting(connection, folder) == 0


def test_a_question_of_an_earlier_run_is_thrown_away(connection: Connection, folder: DataFolder) -> None:
    questions = roll_call.questions_queue(folder)(connection.default_channel)
    questions.declare()
    Producer(connection.default_channel).publish({}, routing_key=questions.name, reply_to="nobody")
    taken: list[Any] = []
    with Consumer(connection.channel(), [questions], on_message=taken.append, no_ack=True):
        roll_call.refuse_if_answered(connection, folder)
    assert [message.properties["reply_to"].startswith(questions.name) for message in taken] == [True]


def test_a_folder_without_a_platform_asks_nobody(connection: Connection, folder: DataFolder) -> None:
    name = roll_call.questions_queue(folder).name
    folder.identity.unlink()
    roll_call.refuse_if_answered(connection, folder)
    assert name not in connection.default_channel.queues  # type: ignore[attr-defined]
