"""Children of `up`: what they print is passed on; those that end are started again as soon as possible."""

from __future__ import annotations

import io
import subprocess
from types import SimpleNamespace

import pytest

from validators.processes import children
from validators.processes.children import RESTARTS, Child
from validators.processes.output import Output


class Heard(Output):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def say(self, name: str, text: str) -> None:
        self.line(text)


def test_a_child_that_cannot_be_forked_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validators of this host must not end with it."""
    clock, tries = SimpleNamespace(now=100.0), []

    def no_fork(*_: object, **__: object) -> subprocess.Popen[bytes]:
        tries.append(clock.now)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    words = {"DEVNULL": subprocess.DEVNULL, "PIPE": subprocess.PIPE, "STDOUT": subprocess.STDOUT}
    monkeypatch.setattr(children, "subprocess", SimpleNamespace(Popen=no_fork, **words))
    monkeypatch.setattr(children, "time", SimpleNamespace(monotonic=lambda: clock.now))
    heard = Heard()
    child = Child("web", [], heard)
    for clock.now in (100.0, 101.0, 100.0 + RESTARTS.max_backoff):
        child.keep_alive()
    assert tries == [100.0, 100.0 + RESTARTS.max_backoff]
    assert heard.lines[0].startswith("web cannot be started: [Errno 11] Resource temporarily unavailable")


def test_a_long_traceback_as_json_stays_one_line_with_its_level() -> None:
    line = '{"level":"error","traceback":"' + 200_000 * "x" + '"}'
    heard = Heard()
    Child("web", [], heard)._relay(SimpleNamespace(stdout=io.BytesIO(f"{line}\n".encode())))  # type: ignore[arg-type]
    assert heard.lines == [line]
