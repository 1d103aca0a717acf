"""The simulator's executable and its worker processes under signals (C47)."""

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
def playing(*words: str, path: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """The executable as a terminal starts it: a process group of its own. It imports from `path` first."""
    with subprocess.Popen(
        ["bin/simulator", *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | ({"PYTHONPATH": str(path)} if path else {}),
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


HALTING = """
import os, signal, sys
plain = signal.signal
handlers = 0

def halt(frame, event, argument):
    if frame.f_code.co_qualname == "World._deliver":
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGSTOP)

def counted(number, handler):
    global handlers
    found = plain(number, handler)
    handlers += number == signal.SIGTERM
    if handlers == 2 and number == signal.SIGTERM:
        sys.setprofile(halt)
    return found

signal.signal = counted
"""


@pytest.fixture
def halting(tmp_path: Path) -> Path:
    """Where to import from for a process that halts at the first message that its world delivers after the
    second handler for SIGTERM: manage.py's is the first, the verb's own the second. The shortest of runs is
    over in half a second."""
    (tmp_path / "sitecustomize.py").write_text(HALTING)
    return tmp_path


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    """Its one JSON object, after an end with 0 and no word on stderr."""
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert out.count("\n") == 1
    found: dict[str, object] = json.loads(out)
    return found


MUTANTS = ["mutants", "--jobs", str(WORKERS)]
ENDLESS = """
import time
open({path!r}, "w").close()
while True:  # not one blocking call: a signal just before it begins would be heard after it, that is never
    time.sleep(0.01)
"""


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A file that appears when the import of Django, which never ends, has begun."""
    (tmp_path / "django").mkdir()
    (tmp_path / "django" / "__init__.py").write_text(ENDLESS.format(path=str(begun := tmp_path / "begun")))
    return begun


@pytest.mark.parametrize(
    ("words", "number"),
    [(["run", "--json"], signal.SIGINT), (MANY, signal.SIGTERM), (MUTANTS, signal.SIGINT)],
)
def test_a_signal_during_startup_ends_in_one_line(slow: Path, words: list[str], number: int) -> None:
    name = signal.Signals(number).name
    with playing(*words, path=slow.parent) as process:
        wait_until(slow.exists, what="it imports")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (128 + number, "", f"simulator: interrupted by {name}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_campaign_prints_totals_and_leaves_no_worker(number: int) -> None:
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
def test_c47_a_signal_ends_a_run_of_every_verb(halting: Path, words: list[str]) -> None:
    with playing(*words, path=halting) as process:
        halted = psutil.Process(process.pid)
        wait_until(lambda: halted.status() == psutil.STATUS_STOPPED, what="it plays")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert told(process)["ended"] == "interrupted"


def test_c47_an_unlimited_run_is_interrupted_by_a_signal() -> None:
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
