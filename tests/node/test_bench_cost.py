"""The bench counts all processes of a network until their work is over, and says which targets were met."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from benchmarks import cost, gate
from benchmarks.cost import Line, table
from benchmarks.over_http import descendants


def test_processes_of_processes_count() -> None:
    """Titles overwrite environments and command lines, so parents say what belongs to a network."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())
        try:
            assert {shell.pid, grandchild} <= set(descendants(os.getpid()))
            assert descendants(shell.pid) == [grandchild]
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_a_line_beyond_its_target_is_missed() -> None:
    lines = [Line("a", 3.0, target=2.0), Line("b", 2.0, target=2.0), Line("c", 1.0)]
    assert [line.verdict for line in lines] == ["missed", "met", ""]
    assert "| a | 3 checks | <= 2 | missed |" in table(lines)


REST_RATE = 0.1


class Work:
    """Processes that use REST_RATE cores, and one more each until the times at which their work is over, on a
    clock that sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.used = 0.0, 0.0
        self.over: list[float] = []
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)
        monkeypatch.setattr(cost, "time", clock)
        monkeypatch.setattr(cost, "processor_seconds", lambda _pids: self.used)
        monkeypatch.setattr(cost, "check_seconds", lambda: 50e-6)

    def sleep(self, seconds: float) -> None:
        busy = sum(max(0.0, min(seconds, over - self.now)) for over in self.over)
        self.now, self.used = self.now + seconds, self.used + REST_RATE * seconds + busy

    def rest(self) -> cost.Rest:
        return cost.Rest(lambda: self.used, REST_RATE)


def test_what_members_do_after_the_last_outcome_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch)
    meter = cost.Meter([], idle=REST_RATE)
    with meter.running(work.rest()):
        work.over = [2.0, 6.0]  # the slower one has four seconds left when the gateway has all outcomes
        work.sleep(2.0)
    assert meter.wall == 2.0
    assert meter.seconds == pytest.approx(2.0 + 6.0)
    without = cost.Meter([], idle=REST_RATE)
    with without.running():
        work.sleep(3.0)
    assert without.seconds == pytest.approx(0.0)


def test_a_line_begins_when_the_work_of_the_one_before_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch)
    rest = work.rest()
    work.over = [4.0]
    rest.wait()
    assert 4.0 <= work.now - cost.QUIET <= 4.0 + cost.LOOK
    begun = work.now
    assert rest.wait() == 0.0, "nothing was done since"
    work.over = [begun + 1.0]
    work.sleep(1.0)
    assert rest.wait() >= cost.QUIET


def test_who_never_rests_is_waited_for_no_longer_than_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work(monkeypatch)
    work.over = [1_000.0]
    assert cost.SETTLE_MAX <= work.rest().wait() <= cost.SETTLE_MAX + cost.LOOK
    assert "110 % of a core" in capsys.readouterr().err


def test_the_rate_at_rest_is_that_of_the_time_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch)
    work.sleep(7.0)
    assert cost.Rest.measured(lambda: work.used, 5.0).rate == pytest.approx(REST_RATE)


@pytest.mark.parametrize(
    ("flag", "values", "allowed"),
    [
        ("--scale", ["nan", "inf", "-1", "0", "x"], "a number from 0.01 to 100.0"),
        ("--tickets", ["-1", "0", "1.5"], "a whole number from 1 to 9,999,999"),
        ("--behind", ["-1", "x"], "a whole number from 0 to 9,999,999"),
        ("--nodes", ["0", "32"], "a whole number from 1 to 31"),
    ],
)
def test_a_number_outside_its_range_is_refused_with_the_range(
    flag: str, values: list[str], allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "facts", lambda: pytest.fail("it begins"))
    for value in values:
        with pytest.raises(CommandError) as refused:
            call_command("bench", f"{flag}={value}")
        assert str(refused.value) == f"Error: argument {flag}: {value!r} is not {allowed}"


def test_a_bench_that_cannot_be_run_or_kept_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "facts", lambda: pytest.fail("it begins"))
    (tmp_path / "file").touch()
    for output in (tmp_path, tmp_path / "file/x.json"):
        with pytest.raises(CommandError, match=f"--output must name a file .* not {output}: "):
            call_command("bench", f"--output={output}")
    with pytest.raises(CommandError, match="--nodes: give each size from 1 to 31 at most once"):
        call_command("bench", "--only=curves", "--nodes", "1", "1")


def test_what_a_bench_finds_is_written_to_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    output = tmp_path / "new/gate.json"
    monkeypatch.setattr(gate, "main", lambda scale: asked.append(scale) or {"exists": output.exists()})
    call_command("bench", "--only=gate", "--scale=0.5", f"--output={output}", stdout=StringIO())
    assert (asked, json.loads(output.read_text())["exists"]) == ([0.5], False)
