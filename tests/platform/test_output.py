"""What people read of a network, and what becomes of it when they stop reading."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TextIO

import pytest

from tests.pipes import full_pipe, read_what_is_there
from tests.waiting import PATIENCE, wait_until
from validators.processes import output
from validators.processes.output import FINISH_PATIENCE, Output

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SEVERAL = 2_000


def stream_to(descriptor: int) -> TextIO:
    return open(descriptor, "w", closefd=False)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end waits until all is written: half a second is little for a thread of a busy machine."""
    monkeypatch.setattr(output, "FINISH_PATIENCE", PATIENCE)


@pytest.mark.usefixtures("patient")
def test_lines_come_whole_and_in_order_with_who_says_them(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        made = Output(5, stream)
        for number in range(SEVERAL):
            made.say("up", str(number))
        made.finish()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == [f"up    | {number}" for number in range(SEVERAL)]


def test_nobody_waits_for_a_reader_and_what_was_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_pipe() as (reading, writing):
        monkeypatch.setattr(output, "WAITING_BYTES_MAX", len("up | 000\n") * 10)
        made = Output(2, stream_to(writing))

        def speak() -> None:
            for number in range(100):
                made.say("up", f"{number:03}")

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        speaker.join(PATIENCE)
        assert not speaker.is_alive()
        assert FINISH_PATIENCE <= 0.5
        ending = threading.Thread(target=made.finish, daemon=True)
        ending.start()
        ending.join(PATIENCE)
        assert not ending.is_alive(), "nor does the end of the process wait"
        shown = bytearray()

        def told(last: bytes) -> bool:
            shown.extend(read_what_is_there(reading))
            return shown.endswith(last)

        gap = b"nobody read for too long\n"
        wait_until(
            lambda: told(gap), what="the gap is told as soon as there is room, before anybody says more"
        )
        made.say("up", "again")
        wait_until(lambda: told(b"again\n"), what="and then what comes next")
    assert shown.decode().strip().splitlines() == [
        *(f"up | {number:03}" for number in range(10)),
        "up | 90 lines are not shown here: nobody read for too long",
        "up | again",
    ]


def test_a_reader_that_is_gone_is_silence_and_no_error() -> None:
    """`make up | head`."""
    with full_pipe() as (reading, writing):
        os.close(reading)
        made = Output(2, stream_to(writing))
        for _ in range(3):
            made.say("up", "x")
            made.finish()
        assert made._writer is not None
        made._writer.join(PATIENCE)
        assert not made._writer.is_alive(), "nor a thread that goes on trying"


@pytest.mark.usefixtures("patient")
def test_a_disk_that_is_full_takes_the_next_line_perhaps(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full, full_pipe() as (reading, writing):
        read_what_is_there(reading)
        made = Output(2, full)
        made.say("up", "lost")
        made.finish()
        monkeypatch.setattr(made, "_descriptor", writing)
        made.say("up", "kept")
        made.finish()
        assert read_what_is_there(reading) == b"up | kept\n"


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_closed_descriptors_number_is_never_written_to(stream: TextIO | None) -> None:
    """`make up >&-`."""
    made = Output(2, stream)
    made.say("up", "x")
    made.finish()
    assert made._writer is None


def test_a_descriptor_that_somebody_made_non_blocking_gets_every_line() -> None:
    with full_pipe() as (reading, writing):
        os.set_blocking(writing, False)
        made = Output(2, stream_to(writing))
        made.say("up", "x" * 10_000)
        shown = b""

        def whole() -> bool:
            nonlocal shown
            shown += read_what_is_there(reading)
            return shown.endswith(b"x\n")

        wait_until(whole, what="the line")
    assert shown.count(b"x") == 10_000


@pytest.mark.usefixtures("patient")
def test_letters_that_the_stream_lacks_are_written_in_others(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        made = Output(2, stream)
        made.say("up", "Zoë")
        made.finish()
    assert (tmp_path / "log").read_text() == "up | Zo\\xeb\n"


@pytest.mark.parametrize("words", ["made.say('up', 'x')", "complain('x')"])
def test_a_process_whose_output_is_stuck_ends_with_its_own_code(words: str) -> None:
    program = (
        "import sys\n"
        "from validators.processes.output import Output, complain\n"
        "made = Output(2, sys.stdout)\n"
        f"{words}\n"
        "made.finish()\n"
        "sys.exit(3)\n"
    )
    with full_pipe() as (_, writing):
        ended = subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            stdout=writing,
            stderr=writing,
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 3
