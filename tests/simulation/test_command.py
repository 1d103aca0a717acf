"""`manage.py simulator`: flags in both dash forms, limits, output, results (X38, X39)."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from simulator.campaign import Cut, Report, Task, run
from simulator.cli import batch, text
from simulator.cli.command import Command
from simulator.cli.verbs import Verbs
from simulator.options import OptionError, Options, by_hand, check
from simulator.plain import PlainRun, Results
from simulator.shrinking import shrink
from tests.simulation.printed import RESULT_KEYS

pytestmark = pytest.mark.ci

SMALL = ["-nodes", "4", "-byzantine", "1", "-tickets", "12", "-latency", "5ms", "-duration=20s"]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    Command().run_from_argv(["manage.py", "simulator", *words])
    return capsys.readouterr().out


def test_x39_a_run_by_flags_is_printed_in_the_order_of_the_contract(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = told(capsys, *SMALL, "--packet-loss", "0.01").splitlines()
    keys = [line.split(":")[0] for line in lines]
    assert "Total Nodes: 4" in lines
    assert "Byzantine Nodes: 1" in lines
    assert "Duration: 20s" in lines
    assert "Network Latency: 5ms" in lines
    assert "Packet Loss: 1.00%" in lines
    assert "Network Partitions: false" in lines
    assert sum("is Byzantine" in line for line in lines) == 1
    progress = [line for line in lines if line.startswith("Progress: ")]
    assert [line.split()[1] for line in progress] == ["10/12", "12/12"]
    assert re.fullmatch(r"Progress: 12/12 tickets \| Rounds: 12 \| Success: 12 \| Failed: 0", progress[-1])
    results = keys[keys.index("=== Simulation Results ===") + 1 :]
    assert results[:9] == RESULT_KEYS


def test_x39_the_same_seed_gives_the_same_results_in_both_dash_forms(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = told(capsys, *SMALL, "-seed", "5", "-json")
    two = told(capsys, "run", *[word.replace("-", "--", 1) for word in SMALL if word], "--seed=5", "--json")
    assert one == two
    results = json.loads(one)
    assert one.count("\n") == 1, "one JSON object and nothing else"
    assert results["validated_tickets"] == results["successful_rounds"] == 12
    assert results["average_latency_ms"] > 5


@pytest.mark.parametrize("adversary", ["equivocator", "mutator", "mute", "slow-primary"])
def test_x39_no_mode_of_lying_breaks_a_promise(adversary: str) -> None:
    options = Options(nodes=4, byzantine_nodes=1, tickets=10, latency_ms=5, adversary=adversary, seed=2)
    results = PlainRun(check(options), lambda *_numbers: None).run()
    assert results.violation is None
    assert results.validated_tickets == results.successful_rounds


def test_a_run_survives_and_counts_partitions_and_crashes() -> None:
    options = Options(nodes=4, byzantine_nodes=0, tickets=60, latency_ms=1, enable_partitions=True, seed=4)
    parted = PlainRun(check(options), lambda *_numbers: None).run()
    assert parted.violation is None
    assert parted.partition_events > 0
    options = Options(nodes=4, byzantine_nodes=0, tickets=60, latency_ms=20, crash_rate=5, seed=4)
    crashed = PlainRun(check(options), lambda *_numbers: None).run()
    assert crashed.violation is None
    assert crashed.crashes > 0


def test_a_tiny_crash_rate_causes_no_crash() -> None:
    options = Options(nodes=4, byzantine_nodes=0, tickets=2, latency_ms=1, crash_rate=5e-324)
    results = PlainRun(check(options), lambda *_numbers: None).run()
    assert (results.ended, results.crashes) == ("all_processed", 0)


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["-tickets", "0"], "tickets"),
        (["-nodes", "0"], "nodes"),
        (["-nodes", "40"], "nodes"),
        (["--byzantine", "-1"], "byzantine_nodes"),
        (["-packet-loss", "1.5"], "packet_loss_rate"),
        (["-packet-loss", "nan"], "packet_loss_rate"),
        (["-duration", "0"], "duration_seconds"),
        (["-duration", "9000h"], "duration_seconds"),
        (["-crash-rate", "99"], "crash_rate"),
        (["-adversary", "nobody"], "adversary"),
    ],
)
def test_x38_values_outside_the_limits_are_refused_by_name(words: list[str], field: str) -> None:
    with pytest.raises(CommandError, match=f"^{field}: ") as caught:
        call_command("simulator", "run", *words)
    assert caught.value.returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ["-nodes", "1", "-latency", "10s", "-duration", "20m"],
        ["-nodes", "3", "-latency", "2s", "-tickets", "20000"],
        ["-nodes", "31", "-duration", "8000h"],
    ],
)
def test_c46_the_command_has_no_limits_but_the_core_s(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def not_played(one: PlainRun) -> Results:
        one.results.ended = "interrupted"
        return one.results

    monkeypatch.setattr(PlainRun, "run", not_played)
    call_command("simulator", "run", "-byzantine", "0", *words)
    assert "Total Nodes:" in capsys.readouterr().out


def test_c47_too_many_liars_end_with_code_1_and_a_line_on_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("simulator", "run", "-nodes", "4", "-byzantine", "2")
    assert caught.value.returncode == 1
    said = capsys.readouterr().out
    assert {"2", "1", "4"} <= set(re.findall(r"\d+", said))
    assert "===" not in said, "nothing was played"


def test_c47_an_interrupt_ends_the_run_and_the_results_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C at the first progress line: exit 0, as the Go DTVN does."""

    say = Verbs._say

    def interrupting(verbs: Verbs, line: str) -> None:
        say(verbs, line)
        if line.startswith("Progress: 10/"):  # the last one is told after it: a second signal ends pytest
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Verbs, "_say", interrupting)
    Command().run_from_argv(["manage.py", "simulator", "-nodes", "4", "-byzantine", "0", "-tickets", "100"])
    lines = capsys.readouterr().out.splitlines()
    assert "Simulation interrupted" in lines
    rounds = next(line for line in lines if line.startswith("Consensus Rounds: "))
    assert 10 <= int(rounds.split()[-1]) < 100
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_flags_have_no_abbreviations_and_booleans_no_separate_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["-nod", "4"], ["-partition", "false"], ["-partition=maybe"], ["-json=1s"]):
        with pytest.raises(SystemExit) as caught:
            Command().run_from_argv(["manage.py", "simulator", *words])
        assert caught.value.code == 2
        assert "usage: " in capsys.readouterr().err
    for words in (["-h"], ["-help"], ["--help"], ["campaign", "-h"]):
        with pytest.raises(SystemExit) as caught:
            Command().run_from_argv(["manage.py", "simulator", *words])
        assert not caught.value.code
        assert "usage: " in capsys.readouterr().out


def test_the_command_takes_short_durations_and_lossy_nets(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-duration=1300ms", "-packet-loss=1.0", "-partition=false", "-latency=1.5ms"]
    said = told(capsys, *SMALL[:6], *words)
    assert "Network Latency: 1.5ms" in said
    assert "Duration: 1.3s" in said
    assert "Simulation timed out" in said
    assert "Success Rate: 0.00%" in said, "and no NaN"


@pytest.mark.parametrize("words", [["-latency", "-1ms"], ["-latency", "fast"], ["-seeds"]])
def test_x38_unknown_flags_are_refused_with_the_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        Command().run_from_argv(["manage.py", "simulator", *words])
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert "usage: " in told
    assert "Traceback" not in told


@pytest.mark.parametrize("play", [["--world", "calm", "--mutant", "any-epoch"], ["--world", "calm"]])
@pytest.mark.parametrize("verb", ["run", "replay", "shrink"])
@pytest.mark.parametrize(
    "flag",
    [
        ["-nodes", "99"],
        ["-byzantine", "0"],
        ["-tickets", "9"],
        ["-duration", "60s"],
        ["-latency", "0"],
        ["-packet-loss", "0"],
        ["-partition=false"],
        ["-adversary", "bogus"],
        ["-crash-rate", "0"],
    ],
)
def test_x38_a_flag_that_a_named_world_would_ignore_is_refused(
    verb: str, play: list[str], flag: list[str]
) -> None:
    with pytest.raises(CommandError, match=f"^{flag[0].partition('=')[0]} sets the cluster") as caught:
        call_command("simulator", verb, *play, *flag, "--json")
    assert caught.value.returncode == 2


@pytest.mark.parametrize("verb", ["run", "replay", "shrink"])
@pytest.mark.parametrize("play", [[], ["--nodes", "4", "--mutant", "any-epoch"], ["--world", "plain"]])
def test_x38_a_flag_that_a_run_by_flags_would_ignore_is_refused(verb: str, play: list[str]) -> None:
    for flag, value in (("-without-faults", "1"), ("-without-liars", "0"), ("-stop-after", "2500ms")):
        with pytest.raises(CommandError, match=f"^{flag} is for a named world") as caught:
            call_command("simulator", verb, *play, flag, value)
        assert caught.value.returncode == 2


@pytest.mark.parametrize("words", [["-nodes", "3"], ["-nodes", "1", "--mutant", "any-epoch"]])
def test_x38_nodes_that_tolerate_no_liar_are_refused_by_their_own_name(words: list[str]) -> None:
    """No number of liars was given, so the error does not mention one."""
    with pytest.raises(
        CommandError, match=r"^nodes: [13] tolerate no Byzantine node; use -byzantine 0"
    ) as caught:
        call_command("simulator", "run", *words)
    assert caught.value.returncode == 2


@pytest.mark.parametrize(("nodes", "liars"), [(4, 1), (6, 1), (7, 2), (31, 2)])
def test_the_usual_number_of_liars_follows_the_nodes(nodes: int, liars: int) -> None:
    assert by_hand({"nodes": nodes}).byzantine_nodes == liars
    assert by_hand({"nodes": nodes, "byzantine_nodes": 0}).byzantine_nodes == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["campaign", "--seeds", "1:99999999999999999999"], "more than 1000000 seeds"),
        (["campaign", "--seeds", "0:1000001"], "more than 1000000 seeds"),
        (["campaign", "--seeds", "0:" + "9" * 5_000], "is not a range of seeds"),
        (["campaign", "--seeds", "0:2", "--jobs", "0"], "is not a number of processes from 1 to 64"),
        (["campaign", "--seeds", "0:2", "--jobs=-1"], "is not a number of processes from 1 to 64"),
        (["campaign", "--seeds", "0:2", "--jobs", "1000"], "is not a number of processes from 1 to 64"),
        (["mutants", "--jobs", "9" * 5_000], "is not a number of processes from 1 to 64"),
        (["shrink", "--without-calls", "1-99999999999"], "more than 1000000 numbers"),
        (["run", "-duration", f"{'9' * 400}s"], "is not a duration"),
        (["run", "-latency", f"{'9' * 400}s"], "is not a duration"),
        (["replay", "-stop-after", f"{'9' * 400}s"], "is not a duration"),
    ],
)
def test_a_run_beyond_the_limits_is_refused_before_it_starts(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        Command().run_from_argv(["manage.py", "simulator", *words])
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_the_largest_range_is_taken_as_it_is() -> None:
    assert text.seed_range("5:1000005") == range(5, 1_000_005)
    assert text.jobs("64") == 64


def test_an_unwritable_trace_is_reported_in_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "trace"):
        with pytest.raises(CommandError, match="cannot be written: ") as caught:
            call_command("simulator", "replay", "--trace", str(path), "--quiet", "--world", "calm")
        assert caught.value.returncode == 2


def test_limits_hold_for_options_of_every_source() -> None:
    with pytest.raises(OptionError) as caught:
        check(Options(latency_ms=100_000))
    assert caught.value.field == "latency_ms"
    assert check(Options()) == Options()


def test_a_campaign_prints_totals_and_fails_on_a_planted_bug(capsys: pytest.CaptureFixture[str]) -> None:
    summary = json.loads(told(capsys, "campaign", "--seeds", "3:6", "--world", "calm", "--json"))
    assert summary["runs"] == 3
    assert summary["violations"] == []
    for key in ("operations_committed", "operations_acknowledged", "events_per_second", "virtual_hours"):
        assert summary[key] > 0
    assert 0 <= summary["probes_hit"] <= summary["probes_total"]
    with pytest.raises(CommandError, match="violation: model: ") as caught:
        call_command("simulator", "run", "--mutant", "consumes-again", "--seed", "0")
    assert caught.value.returncode == 1
    call_command("simulator", "run", "--seed", "0", "--world", "calm")


def test_the_totals_of_a_campaign() -> None:
    totals = batch._Totals()
    for seed, probes, fields in (
        (7, {"views.bad_view_change": 2}, {"events": 10, "committed": 3, "virtual_time": 2 * 3_600 * 10**9}),
        (5, {"views.bad_view_change": 1}, {"events": 30, "outcomes": 4, "executed": 5, "view_changes": 6}),
        (9, {}, {"violation": "two entered", "checker": "at-most-once", "command": "simulator run"}),
    ):
        totals.add(Report(seed, "calm", 0, (), **{"command": ""} | fields, probes=probes), 0.5)
    told = totals.summary(12.34)
    (hit,) = (each for each in told.pop("probes") if each["hits"])
    assert hit == {"name": "views.bad_view_change", "hits": 3, "first_seed": 7}
    assert told == {
        "runs": 3,
        "operations_committed": 3,
        "operations_acknowledged": 4,
        "sequences_executed": 5,
        "virtual_hours": 2.0,
        "events": 40,
        "events_per_second": 27,
        "seconds": 12.3,
        "view_changes": 6,
        "probes_hit": 1,
        "probes_total": len(batch.PROBES),
        "violations": [
            {"seed": 9, "checker": "at-most-once", "text": "two entered", "command": "simulator run"}
        ],
    }


def test_a_campaign_ends_with_its_verdict_and_can_require_probes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("campaign", "--seeds", "0:2")
    monkeypatch.setattr(
        batch, "run", lambda task: Report(task.seed, task.world, 0, (), "", probes={"hit": 1})
    )
    monkeypatch.setattr(batch, "PROBES", {"hit": ""})
    verdict = told(capsys, *words, "--all-probes").splitlines()[-1]
    assert verdict == "0 of 2 seeds broke a promise, 1 of 1 probes hit"
    monkeypatch.setattr(batch, "PROBES", {"hit": "", "missed": ""})
    told(capsys, *words)
    with pytest.raises(CommandError, match=r"1 of 2 probes hit; never hit: missed$"):
        call_command("simulator", *words, "--all-probes", "--json")


def test_a_campaign_continues_after_a_seed_that_raises_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception at one of ten thousand seeds took the result of all others with it."""

    def play(task: Task) -> Report:
        if task.seed == 4:
            raise IndexError("list index out of range")
        return Report(task.seed, task.world, 4, (), task.command)

    monkeypatch.setattr(batch, "run", play)
    with pytest.raises(CommandError, match="1 of 3 seeds"):
        call_command("simulator", "campaign", "--seeds", "3:6")
    told = capsys.readouterr().out
    assert "IndexError: list index out of range" in told
    assert "--seed 4" in told


def test_a_replay_writes_a_trace_that_is_the_same_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    lines = told(capsys, "replay", "--seed", "2", "--world", "crashes", "--trace", str(first))
    told(capsys, "replay", "--seed", "2", "--world", "crashes", "--quiet", "--trace", str(second))
    assert first.read_bytes() == second.read_bytes()
    events = [json.loads(line) for line in first.read_bytes().splitlines()]
    assert events[0][0] == "k"
    assert events[-1][0] == "v"
    assert {"m", "p", "e", "n", "u", "d", "w"} <= {event[0] for event in events}
    named = {event[1] for event in events if event[0] == "w"}
    assert all({event[3], event[4]} <= named for event in events if event[0] == "m")
    shown = [line for line in lines.splitlines() if " ms  " in line]
    assert len({line.index("view") for line in shown if "(" not in line}) == 1, "aligned"


def test_a_failing_run_shrinks_to_a_smaller_one_that_fails_alike() -> None:
    task = Task(0, "crashes", "rows-replayed-twice")
    whole = run(task)
    found = shrink(task)
    assert found is not None
    assert whole.violation is not None
    assert found.checker == whole.checker
    assert found.command.startswith(task.command)
    assert "--without-calls" in found.command
    assert run(Task(0, "crashes")).violation is None
    assert shrink(Task(0, "calm")) is None


def test_a_cut_of_faults_leaves_the_calls_unchanged() -> None:
    whole, cut = run(Task(1, "crashes")), run(Task(1, "crashes", "", Cut(faults=frozenset(range(1_000)))))
    assert cut.faults == whole.faults
    assert cut.calls == whole.calls
    assert cut.events != whole.events


def test_durations_and_numbers_are_parsed() -> None:
    assert text.nanoseconds("1m30s") == 90 * 10**9
    assert text.seconds("2m") == 120
    assert text.seconds("300ms") == 0.3
    assert text.milliseconds("50ms") == 50
    assert text.milliseconds("500us") == 0.5
    assert text.numbers("1,4-6") == {1, 4, 5, 6}
    assert text.seed_range("0:3") == range(3)
    bare = ((text.seconds, "5"), (text.milliseconds, "5"))  # as Go: a number needs its unit
    for parse, word in (*bare, (text.nanoseconds, "5 s"), (text.seed_range, "3:3")):
        with pytest.raises(Exception, match="is no"):
            parse(word)
