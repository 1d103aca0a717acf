"""A run by flags: planted bugs, `replay` and `shrink` of it, and the command that plays it again."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from simulator import shrinking
from simulator.campaign import Task
from simulator.cli.command import Command
from simulator.cli.verbs import Verbs
from simulator.mutants import MUTANTS

pytestmark = pytest.mark.ci

SMALL = ("--nodes", "4", "-tickets=6", "--latency", "5ms", "-adversary", "equivocator")
LIED_TO = (*SMALL, "--seed", "1", "--mutant", "quorum-minus-one")
BROKEN_LATER = ("--latency=5ms", "-adversary=equivocator", "--seed=2", "--mutant", "quorum-minus-one")
EVERYTHING = (
    *("-nodes=5", "-byzantine=0", "-tickets=11", "-duration=1m3s", "-latency=1500us", "-packet-loss=0.015"),
    *("-partition", "-crash-rate=0.25", "-adversary=mute", "-seed=9"),
)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command line prints; that of a failing one is expected with `fails`."""

    def say(*words: str, fails: bool = False) -> str:
        command = Command()
        if fails:
            with pytest.raises(SystemExit) as ended:
                command.run_from_argv(["manage.py", "simulator", *words])
            assert ended.value.code == 1
        else:
            command.run_from_argv(["manage.py", "simulator", *words])
        told = capsys.readouterr()
        assert (told.err != "") == fails
        if fails:
            assert told.err.startswith("CommandError: violation: ")
        return told.out

    return say


def one_object(out: str) -> dict[str, Any]:
    assert out.count("\n") == 1, "one JSON object and nothing else"
    found: dict[str, Any] = json.loads(out)
    return found


def words_of(command: str, verb: str = "run") -> list[str]:
    """The command line that a report names, played with another verb."""
    before, words = command.split(" simulator run ")
    assert before == "manage.py"
    return [verb, *words.split()]


@pytest.mark.parametrize(
    ("words", "checker"),
    [
        (LIED_TO, "agreement"),
        (("--crash-rate", "1", "--mutant", "sends-before-persisting", "--seed", "1"), "durable-before-send"),
        (("--world", "plain", "--mutant", "sends-before-persisting"), "durable-before-send"),
        (("-partition=false", "--mutant", "sends-before-persisting"), "durable-before-send"),
    ],
)
def test_a_mutant_is_planted_in_a_run_by_flags(said: Any, words: tuple[str, ...], checker: str) -> None:
    found = one_object(said(*words, "--json", fails=True))
    assert (found["ended"], found["checker"]) == ("violation", checker)
    assert found["violation"].startswith(f"{checker}: ")
    assert "--world" not in found["command"]
    assert one_object(said(*words_of(found["command"]), "--json", fails=True)) == found
    without = one_object(said(*words[: words.index("--mutant")], "--tickets", "3", "--json"))
    assert without["violation"] is None, "the product itself breaks no promise there"


@pytest.mark.parametrize("verb", ["run", "replay", "shrink"])
def test_a_mutant_alone_brings_its_own_world(said: Any, verb: str) -> None:
    mutant = MUTANTS["half-of-rows-written"]
    fails = verb != "shrink"
    found = one_object(said(verb, "--mutant", mutant.name, "--seed", str(mutant.seed), "--json", fails=fails))
    assert found["command"].startswith(Task(mutant.seed, mutant.world, mutant.name).command)


@pytest.mark.parametrize(
    "words", [("-seed=3",), EVERYTHING, ("-nodes", "3", "-byzantine", "0", "-tickets=5")]
)
def test_the_command_of_a_run_replays_it_with_every_verb(said: Any, words: tuple[str, ...]) -> None:
    found = one_object(said("run", *words, "--json"))
    assert one_object(said("replay", *words, "--json")) == found, "the same flags, the same world"
    assert one_object(said(*words_of(found["command"]), "--json")) == found
    lines = said(*words_of(found["command"], "replay")).splitlines()
    assert any(" executes 1 " in line for line in lines)
    assert lines[-2:] == [f"Fingerprint: {found['fingerprint']}", f"Command: {found['command']}"]


def test_the_command_of_a_run_names_settings_that_are_not_defaults(said: Any) -> None:
    found = one_object(said(*EVERYTHING, "--json"))
    assert found["command"] == (
        "manage.py simulator run --nodes 5 --byzantine 0 --tickets 11 --duration 63s --latency 1500us "
        "--packet-loss 0.015 --partition --adversary mute --crash-rate 0.25 --seed 9"
    )


def test_a_campaign_s_command_is_replayed_in_its_world(said: Any) -> None:
    command = Task(3, "calm").command
    lines = said(*words_of(command, "replay")).splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("command ")] == [command]


def test_a_run_by_flags_is_traced(said: Any, tmp_path: Path) -> None:
    words = ("replay", *LIED_TO, "--trace", str(tmp_path / "trace"), "--quiet")
    told = said(*words, fails=True).splitlines()
    assert told[0] == "Simulation stopped: a promise was broken"
    events = [json.loads(line) for line in (tmp_path / "trace").read_bytes().splitlines()]
    assert (events[0][0], events[-1][0], events[-1][2]) == ("k", "v", "agreement")


def test_a_run_by_flags_shrinks_to_fewer_nodes_and_tickets(said: Any) -> None:
    words = ("-partition", "--crash-rate", "0.5", *LIED_TO[3:-3], "3", *LIED_TO[-2:])
    whole = one_object(said(*words, "--json", fails=True))
    found = one_object(said("shrink", *words, "--json"))
    assert (found["checker"], found["ended"]) == (whole["checker"], "violation")
    assert "--nodes 4 --byzantine 1" in found["command"], "less would leave no liar"
    assert "--adversary equivocator" in found["command"]
    assert not {"--partition", "--crash-rate"} & set(found["command"].split())
    assert found["total_tickets"] < whole["total_tickets"] == 100
    assert one_object(said(*words_of(found["command"]), "--json", fails=True)) == found
    lines = said("shrink", *words).splitlines()
    assert lines[0] == f"{whole['violation']}: 7 nodes, 100 tickets"
    assert lines[-2:] == [found["violation"], found["command"]]


def test_work_done_before_a_violation_is_counted(said: Any) -> None:
    found = one_object(said(*BROKEN_LATER, "--json", fails=True))
    assert 0 < found["successful_rounds"] <= found["consensus_rounds"] < 100
    assert found["validated_tickets"] > 0


def test_shrinking_removes_liars_that_are_not_needed(said: Any) -> None:
    found = one_object(said("shrink", *SMALL, "--mutant", "sends-before-persisting", "--json"))
    assert "--byzantine 0" in found["command"]
    assert "--adversary" not in found["command"]


def test_a_run_without_a_violation_cannot_be_shrunk(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "simulator", "shrink", *SMALL])
    assert ended.value.code == 2
    assert "nothing to shrink: this run breaks no promise" in capsys.readouterr().err


def test_an_interrupted_shrink_of_a_run_by_flags_reports_its_result(
    said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = shrinking.PlainRun.run
    before = [False]

    def interrupted(one: shrinking.PlainRun) -> shrinking.Results:
        """Ctrl-C while the second world is played."""
        if before[0]:
            one.cluster.world.after(1, signal.raise_signal, signal.SIGINT)
        before[0] = True
        return played(one)

    monkeypatch.setattr(shrinking.PlainRun, "run", interrupted)
    found = one_object(said("shrink", *LIED_TO, "--json"))
    assert (found["ended"], found["checker"]) == ("interrupted", "agreement")
    assert "--packet-loss" not in found["command"], "that was the try"
    monkeypatch.setattr(shrinking.PlainRun, "run", played)


def test_an_interrupted_replay_of_a_run_by_flags_reports_its_progress(
    said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(verbs: Verbs, line: str) -> None:
        verbs.stdout.write(line)
        if " executes 2 " in line and not said_once:
            said_once.append(line)
            signal.raise_signal(signal.SIGINT)

    said_once: list[str] = []
    monkeypatch.setattr(Verbs, "_say", say)
    lines = said("replay", *SMALL).splitlines()
    assert "Simulation interrupted" in lines
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
