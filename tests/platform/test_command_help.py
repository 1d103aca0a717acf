"""Help of the command line: without models, so that an operator does not wait for it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import load_command_class

from dtvn import __version__
from dtvn.machine import granting
from simulator import names
from simulator.adversary import ADVERSARIES
from simulator.worlds import WORLDS
from validators.management.genesis_parsers import GRANT_DAYS_MAX

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
WORK = {"simulator.mutants", "psycopg", "validators.ledger", "dtvn.proof.audit", "dtvn.recovery"}
"""What commands use when they run, and no help needs: each takes 0.05 s of processor or more."""
ALL_HELPS = """\
import json, runpy, sys
for line in sys.stdin:
    words, before = json.loads(line), set(sys.modules)
    sys.argv = ["manage.py", *words, "--help"]
    try:
        runpy.run_path("manage.py", run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, ended.code
    print(json.dumps([words, sorted(set(sys.modules) - before)]), file=sys.stderr)
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


def verbs(parser: ArgumentParser) -> Iterator[list[str]]:
    """The words of each verb of a parser, and of the verbs' own."""
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name, verb in action.choices.items():
                yield [name]
                yield from ([name, *further] for further in verbs(verb))


def test_no_help_of_a_command_or_a_verb_imports_what_does_the_work() -> None:
    asked = [[name] for name in COMMANDS]
    for name in ("genesis", "members", "principals"):
        parser = load_command_class("validators", name).create_parser("manage.py", name)
        asked += [[name, *words] for words in verbs(parser)]
    assert ["genesis", "recover", "plan"] in asked
    run = subprocess.run(
        [sys.executable, "-c", ALL_HELPS],
        input="".join(json.dumps(words) + "\n" for words in asked),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in run.stderr.splitlines()]
    assert [words for words, _ in told] == asked
    assert {" ".join(words): found for words, new in told if (found := sorted(WORK & set(new)))} == {}


def test_days_of_a_grant_are_those_of_the_machine() -> None:
    assert GRANT_DAYS_MAX * 24 * 3_600 * 1_000_000 == granting.VALID_MAX


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


def test_every_program_names_the_release() -> None:
    assert measured("--version")[2] == f"manage.py {__version__}\n"
    for name in ("up", "members", "scan"):
        assert measured(name, "--version")[1:] == (False, f"{name} {__version__}\n")
    for name in PROGRAMS:
        assert (
            subprocess.check_output([ROOT / "bin" / name, "-version"], text=True) == f"{name} {__version__}\n"
        )
    verifier = [sys.executable, "verifier/dtvn_verify.py", "--version"]
    assert subprocess.check_output(verifier, cwd=ROOT, text=True) == f"dtvn-verify {__version__}\n"
    dtvn = [sys.executable, "-c", "from dtvn.cli.main import command; command()", "--version"]
    assert subprocess.check_output(dtvn, cwd=ROOT, text=True) == f"dtvn {__version__}\n"


def test_help_names_a_command_as_django_does() -> None:
    assert measured("help", "scan")[2].startswith("usage: manage.py scan")
    assert "usage: manage.py migrate" in measured("migrate", "--help")[2]


def test_names_for_parsers_are_those_of_the_simulator() -> None:
    assert names.ADVERSARIES == ADVERSARIES
    assert set(names.WORLDS) == set(WORLDS)
    assert len(names.WORLDS) == len(WORLDS)
