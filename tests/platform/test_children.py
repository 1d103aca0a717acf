"""Children of `up`: what they print is passed on; those that end are started again as soon as possible."""

from __future__ import annotations

import io
import subprocess
from types import SimpleNamespace

import pytest

from tests.support.clock import SetClock
from validators.processes import children
from validators.processes.children import RESTARTS, Child
from validators.processes.health_check import HealthCheck
from validators.processes.node_controller import STEADY_AFTER
from validators.processes.output import Output


class Heard(Output):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def say(self, name: str, text: str) -> None:
        self.line(text)


class Process:
    """A child that runs until it is told otherwise."""

    pid = 2**30

    def __init__(self) -> None:
        self.returncode: int | None = None
        self.stdout = io.BytesIO()

    def poll(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        self.returncode = -9


class Nursery:
    """A child whose processes and clock a test has in hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.beat = 0
        self.processes: list[Process] = []
        self.ends = 0
        self.heard = Heard()
        words = {"DEVNULL": subprocess.DEVNULL, "PIPE": subprocess.PIPE, "STDOUT": subprocess.STDOUT}
        monkeypatch.setattr(children, "subprocess", SimpleNamespace(Popen=self.fork, **words))
        monkeypatch.setattr(children, "time", SimpleNamespace(monotonic=lambda: self.now))
        health = HealthCheck(kill_after=30.0)
        self.child = Child("web", [], self.heard, ended=self.ended, health=health, beat=lambda: self.beat)
        self.child.start()

    def fork(self, *_: object, **__: object) -> Process:
        self.processes.append(Process())
        return self.processes[-1]

    def ended(self) -> None:
        self.ends += 1

    def end(self, after: float, code: int = 1) -> list[str]:
        """What is said when the process ends after so many seconds and is looked at at once."""
        self.now += after
        self.processes[-1].returncode = code
        return self.look(0.0)

    def look(self, after: float) -> list[str]:
        self.now += after
        self.heard.lines.clear()
        self.child.keep_alive()
        return list(self.heard.lines)


def test_short_runs_are_followed_by_growing_pauses_and_a_steady_one_by_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nursery = Nursery(monkeypatch)
    first, second = RESTARTS.delay(1), RESTARTS.delay(2)
    assert 0 < first < second
    for _ in range(2):
        assert nursery.end(STEADY_AFTER - 1) == ["web ended (code 1), restarting"]
        assert nursery.end(1, -15) == [f"web ended (signal 15), restarting in {first:.0f} s"]
        running = len(nursery.processes)
        assert nursery.child.rest(60.0) == pytest.approx(first)
        nursery.look(first - 0.1)
        assert len(nursery.processes) == running
        nursery.look(0.1)
        assert len(nursery.processes) == running + 1
        assert nursery.child.rest(60.0) == 60.0
        assert nursery.end(1) == [f"web ended (code 1), restarting in {second:.0f} s"]
        nursery.look(second)
        assert nursery.end(STEADY_AFTER) == ["web ended (code 1), restarting"], "at once"
        nursery.end(STEADY_AFTER)
    assert nursery.ends == 10, "each end is told"


def test_a_silent_child_is_reported_once_and_killed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    nursery = Nursery(monkeypatch)
    nursery.beat = 1
    assert nursery.look(1.0) == []
    said = [line for _ in range(15) for line in nursery.look(1.0)]
    assert said == ["web runs but does not respond"]
    nursery.beat = 2
    assert nursery.look(1.0) == ["web responds again"]
    assert nursery.look(1.0) == []
    said = [line for _ in range(40) if nursery.processes[-1].returncode is None for line in nursery.look(1.0)]
    assert said == ["web runs but does not respond", "web did not respond for 31 s and was killed"]
    assert nursery.look(1.0) == ["web ended (signal 9), restarting"]
    assert [line for _ in range(60) for line in nursery.look(1.0)] == [], "the new one may take its time"


def test_a_child_that_cannot_be_forked_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validators of this host must not end with it."""
    clock, tries = SetClock(), []

    def no_fork(*_: object, **__: object) -> subprocess.Popen[bytes]:
        tries.append(clock.seconds())
        raise BlockingIOError(11, "Resource temporarily unavailable")

    words = {"DEVNULL": subprocess.DEVNULL, "PIPE": subprocess.PIPE, "STDOUT": subprocess.STDOUT}
    monkeypatch.setattr(children, "subprocess", SimpleNamespace(Popen=no_fork, **words))
    monkeypatch.setattr(children, "time", SimpleNamespace(monotonic=clock.seconds))
    heard = Heard()
    child = Child("web", [], heard)
    for pause in (0.0, 1.0, RESTARTS.max_backoff - 1.0):
        clock.forward(pause)
        child.keep_alive()
    assert tries == [100.0, 100.0 + RESTARTS.max_backoff]
    assert heard.lines[0].startswith("web cannot be started: [Errno 11] Resource temporarily unavailable")


def test_a_long_traceback_as_json_stays_one_line_with_its_level() -> None:
    line = '{"level":"error","traceback":"' + 200_000 * "x" + '"}'
    heard = Heard()
    Child("web", [], heard)._relay(SimpleNamespace(stdout=io.BytesIO(f"{line}\n".encode())))  # type: ignore[arg-type]
    assert heard.lines == [line]
