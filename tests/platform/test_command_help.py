"""Help of the command line: without models, so that an operator does not wait for it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import names
from simulator.adversary import ADVERSARIES
from simulator.worlds import WORLDS

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(
    path.stem
    for place in ("validators", "tickets", "simulator/web")
    for path in (ROOT / place / "management/commands").glob("[a-z]*.py")
)
MEASURED = """\
import resource, runpy, sys
sys.argv = ["manage.py", *sys.argv[1:]]
try:
    runpy.run_path("manage.py", run_name="__main__") if sys.argv[1:] else __import__("django.core.management")
except SystemExit as ended:
    assert not ended.code, ended.code
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, "django.contrib.auth.models" in sys.modules, file=sys.stderr)
"""
PROGRAMS = sorted(path.name for path in (ROOT / "bin").iterdir())
TIMES_DJANGO = 5.0
"""Bound in units of `import django.core.management`, which takes 0.08 s where this was written: 0.4 s."""


def measured(*words: str) -> tuple[float, bool, str]:
    """Processor seconds of `manage.py WORDS`, whether it loaded models, and its output."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, models = run.stderr.split()
    return float(seconds), models == "True", run.stdout


@pytest.fixture(scope="module")
def bound() -> float:
    """Processor seconds that help may take."""
    return TIMES_DJANGO * min(measured()[0] for _ in range(3))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_no_model_and_costs_little(name: str, bound: float) -> None:
    """0.4 s of processor where importing Django's management takes 0.08 s; the cheapest of three counts."""
    runs = [measured(name, "--help") for _ in range(3)]
    assert all(text.startswith("usage: ") and not models for _, models, text in runs)
    assert min(seconds for seconds, *_ in runs) <= bound


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_of_a_program_costs_little_with_its_shell(name: str, bound: float) -> None:
    costs = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.check_output([ROOT / "bin" / name, "--help"], text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert f"{name} " in said.splitlines()[0]
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(costs) <= bound


def test_overview_lists_every_command_and_costs_little(bound: float) -> None:
    seconds, models, text = measured("--help")
    assert set(COMMANDS) <= {line.strip() for line in text.splitlines()}
    assert "migrate" in text
    assert not models
    assert seconds <= bound


def test_help_names_a_command_as_django_does() -> None:
    assert measured("help", "scan")[2].startswith("usage: manage.py scan")
    assert "usage: manage.py migrate" in measured("migrate", "--help")[2]


def test_names_for_parsers_are_those_of_the_simulator() -> None:
    assert names.ADVERSARIES == ADVERSARIES
    assert set(names.WORLDS) == set(WORLDS)
    assert len(names.WORLDS) == len(WORLDS)
