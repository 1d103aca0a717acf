"""Tells the lines that the platform prints for operators, as text and as JSON: of its parts, of its own log,
of refusals; and the address under which programs of this machine reach it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.telling import Story, beside, clock  # noqa: F401 - a fixture
from tests.golden import Compare
from tests.support.clock import SetClock
from validators.data_folder.environment import WILDCARD_HOSTS
from validators.processes.output import JsonOutput, Output, refuse
from validators.processes.supervisor import log_through, public_url

pytestmark = pytest.mark.usefixtures("clock")

LINES = (
    ("web", "ready"),
    ("a-long-name", "Gr\u00fc\u00dfe \U0001f3ab"),
    ("r0", '{"time": "then", "level": "warning", "message": "slow", "process": "other"}'),
    ("r0", '{"cut": '),
    ("r0", "[1]"),
    ("r0", "{}"),
    ("r0", ""),
)


@pytest.fixture
def _own_handlers() -> Iterator[None]:
    """The root logger's handlers and level are put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.setLevel(logging.INFO)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def write(output: Output) -> None:
    for name, text in LINES:
        output.say(name, text)
    output.line("a line | unchanged")
    log_through(output)
    logger = logging.getLogger("dtvn.told")
    logger.info("node %s is %s", "r1", "running")
    logger.warning("attention: %d of %d", 3, 4)


@pytest.mark.usefixtures("_own_handlers")
def test_what_the_platform_prints(
    golden: Compare,
    tmp_path: Path,
    clock: SetClock,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = Story(exact=True)
    monkeypatch.setattr(logging.time, "time", clock.unix)  # type: ignore[attr-defined]
    for name, encoding in (("text", "utf-8"), ("json", "utf-8"), ("text", "ascii")):
        path = tmp_path / f"{name}-{encoding}"
        with path.open("w", encoding=encoding) as stream:
            write(JsonOutput(stream) if name == "json" else Output(6, stream))
        story.heading(f"{name}, {encoding}")
        story.say(path.read_text(encoding))
    Output(3, None).say("web", "to nowhere")
    story.heading("Refusals")
    for form in ("text", "json"):
        monkeypatch.setenv("DTVN_LOG_FORMAT", form)
        path = tmp_path / f"refused-{form}"
        with path.open("w") as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            refuse("up", 'port 8080 is in use, says "ss"')
        story.say(path.read_text())
    monkeypatch.undo()
    story.heading("Addresses")
    for host in ("127.0.0.1", *sorted(WILDCARD_HOSTS), "::1", "10.0.0.7", "fe80::1", "venue.example", ""):
        story.say(f"{host!r}: {public_url(host, 8080)}")
    golden(beside(__file__, "output"), str(story))
