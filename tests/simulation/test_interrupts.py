"""Ctrl-C and SIGTERM in any verb: partial results are printed; unlimited tickets delay nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from simulator import plain
from simulator.campaign import Task
from simulator.cli import batch
from simulator.cli.command import Command
from simulator.cli.interrupts import Interrupts
from simulator.cli.verbs import Verbs
from simulator.gateway import Gateway, Request
from simulator.options import Options
from simulator.plain import PlainRun


def hasty(text: str, *words: str) -> None:
    """Run the command, and interrupt it with Ctrl-C at the first line with this text."""
    say, said = Verbs._say, []

    def interrupting(verbs: Verbs, line: str) -> None:
        say(verbs, line)
        if text in line and not said:
            said.append(line)
            signal.raise_signal(signal.SIGINT)

    with patch.object(Verbs, "_say", interrupting):
        Command().run_from_argv(["manage.py", "simulator", *words])


@pytest.mark.timeout(90)
@pytest.mark.parametrize("tickets", [10**9, 10**20])
def test_an_unlimited_number_of_tickets_ends_with_the_duration(
    tickets: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-nodes", "4", "-byzantine", "1", "-tickets", str(tickets), "-duration", "1s", "-json"]
    Command().run_from_argv(["manage.py", "simulator", *words])
    results = json.loads(capsys.readouterr().out)
    assert (results["ended"], results["total_tickets"]) == ("timed_out", tickets)


class Watcher:
    """Sees how many tickets are issued that nobody scanned."""

    def __init__(self) -> None:
        self.issued = self.scanned = self.most = 0

    def answered(self, _gateway: Gateway, request: Request) -> None:
        """See gateway.ClientObserver."""
        if request.operations[0].kind == "issue":
            self.issued += len(request.operations)
        else:
            self.scanned += 1
        self.most = max(self.most, self.issued - self.scanned)


def test_tickets_are_issued_in_blocks_and_all_are_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "ISSUED_AHEAD", 60)
    options = Options(nodes=4, byzantine_nodes=0, tickets=130, latency_ms=1, packet_loss_rate=0)
    one, seen = PlainRun(options, lambda *_numbers: None), Watcher()
    one.cluster.gateways[0].observers.append(seen)
    results = one.run()
    assert (results.ended, results.validated_tickets) == ("all_processed", 130)
    assert seen.issued == seen.scanned == 130
    assert seen.most <= 60 + 5, "a block, and the scans that are under way when it is asked for"


def test_an_interrupted_campaign_reports_what_it_found() -> None:
    interrupts = Interrupts()

    def tasks() -> Iterator[Task]:
        yield Task(3, "calm")
        yield Task(0, "crashes", "half-of-rows-written")
        signal.raise_signal(signal.SIGTERM)
        yield Task(4, "calm")

    with interrupts.heard(), interrupts.during():
        summary = batch.campaign(tasks(), 1, None)
    assert (summary["ended"], summary["runs"]) == ("interrupted", 2)
    assert [violation["seed"] for violation in summary["violations"]] == [0]


def test_an_interrupted_hunt_counts_the_mutants_played(capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "consumes-again", "--only", "half-of-rows-written"]
    hasty(" at seed ", "mutants", "--jobs", "1", *only)
    lines = capsys.readouterr().out.splitlines()
    assert "interrupted: 1 mutants were caught so far, none was missed" in lines
    assert not any("half-of-rows-written" in line for line in lines)


def test_an_interrupted_replay_is_marked_in_its_report_and_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hasty("executes 3 ", "replay", "--world", "calm", "--trace", str(tmp_path / "trace"))
    found = dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if " ms  " not in line
    )
    assert (found["ended"], found["violation"], found["executed"]) == ("interrupted", "None", "3")
    assert int(found["events"]) > 0
    assert json.loads((tmp_path / "trace").read_bytes().splitlines()[-1]) == ["x", "interrupted"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupted_shrink_reports_the_smallest_run_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    hasty(" faults, ", "shrink", "--world", "crashes", "--seed", "0", "--mutant", "half-of-rows-written")
    assert (
        "manage.py simulator run --seed 0 --world crashes --mutant half-of-rows-written"
        in capsys.readouterr().out
    )


def test_a_first_signal_outside_work_waits_and_a_second_ends_the_process() -> None:
    program = (
        "import signal\n"
        "from simulator.cli.interrupts import Interrupts\n"
        "times = iter([100.0, 101.0])\n"
        "with Interrupts(lambda: next(times)).heard():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('whole', flush=True)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('still there', flush=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGTERM, "whole\n", "")


def test_a_signal_right_after_the_first_counts_as_the_same() -> None:
    """`timeout` sends one to the process and one to its group; what was found is told all the same."""
    times, ends = iter([100.0, 100.004, 100.4, 100.49]), []
    interrupts = Interrupts(lambda: next(times))
    with interrupts.heard(), interrupts.during(lambda: ends.append("ended")):
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
    assert ends == ["ended"]


def test_a_worker_that_starts_after_its_parent_died_ends_at_once() -> None:
    words = "import os; from simulator.cli import interrupts as i; i.begin_worker({}); print('works')"
    orphan = subprocess.run(
        [sys.executable, "-c", words.format("os.getppid() + 1")], capture_output=True, check=False, text=True
    )
    assert (orphan.returncode, orphan.stdout) == (1, "")
    child = subprocess.run(
        [sys.executable, "-c", words.format("os.getppid()")], capture_output=True, check=False, text=True
    )
    assert (child.returncode, child.stdout) == (0, "works\n")
