"""The simulator's executable and its worker processes when somebody wants the end (C47)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.integration.network import REPOSITORY, wait_until_gone
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

WORKERS = 2
MANY = ["campaign", "--seeds", "0:1000000", "--jobs", str(WORKERS), "--json"]
NEVER_OVER = ["-nodes=4", "-byzantine=1", "-tickets=1000000000", "-duration=8000h", "-json"]


@contextmanager
def playing(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The executable as a terminal starts it: a process group of its own."""
    with subprocess.Popen(
        ["bin/simulator", *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    def all_there() -> list[psutil.Process]:
        found = psutil.Process(process.pid).children()
        return found if len(found) == WORKERS else []

    return wait_until(all_there, what="the worker processes")


def takes(process: subprocess.Popen[str], number: int) -> bool:
    """Whether a handler of its own is there for this signal; Python brings none for SIGTERM."""
    fields = Path(f"/proc/{process.pid}/status").read_text().split("SigCgt:")
    return bool(int(fields[1].split()[0], 16) >> (number - 1) & 1)


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    """Its one JSON object, after an end with 0 and no word on stderr."""
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert out.count("\n") == 1
    found: dict[str, object] = json.loads(out)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_campaign_tells_its_totals_and_leaves_no_worker(number: int) -> None:
    """Ctrl-C comes to all processes of the terminal."""
    with playing(*MANY) as process:
        workers = workers_of(process)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        found = told(process)
    assert found["ended"] == "interrupted"
    assert found["violations"] == []
    assert isinstance(found["runs"], int)
    assert found["runs"] < 1_000_000
    wait_until_gone(workers, timeout=PATIENCE)


def test_no_worker_outlives_a_campaign_that_is_killed() -> None:
    with playing(*MANY) as process:
        workers = workers_of(process)
        process.kill()
        wait_until_gone(workers, timeout=PATIENCE)


@pytest.mark.parametrize("words", [NEVER_OVER, ["run", "--world", "random", "--seed", "3", "--json"]])
def test_c47_a_run_ends_at_a_signal_whatever_it_was_asked(words: list[str]) -> None:
    with playing(*words) as process:
        wait_until(lambda: takes(process, signal.SIGTERM), what="a handler for SIGTERM")
        process.send_signal(signal.SIGTERM)
        assert told(process)["ended"] == "interrupted"


def test_c47_a_run_without_end_is_interrupted_under_way() -> None:
    with playing(*NEVER_OVER[:-1]) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Progress: 1"):
                break
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert "Simulation interrupted" in rest
    counted = next(line for line in rest.splitlines() if line.startswith("Validated Tickets: "))
    assert int(counted.split()[-1]) >= 10
