"""`dtvn consensus-metrics --cluster URL`: how a cluster decided the newest runs of agent events."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dtvn.cli.platform import PlatformError, add_platform_options, ask, text_of
from dtvn.cli.validate import Output
from dtvn.wording import one_line

HELP = "show how a cluster decided runs of agent events"
TEACH = """\
Counts the verdicts on the newest runs that the platform at URL keeps, and what each member answered. The key
is that in $DTVN_API_KEY.

Exit status: 0, or 2 if the platform cannot be asked, or its cluster has no such algorithm.
"""
SHOWN, NOT_ASKED = 0, 2
RUNS_MAX = 1_000


class _Run(msgspec.Struct):
    algorithm: str
    verdict: str
    events: int
    failure: str | None
    votes: dict[str, dict[str, int]]


class _Runs(msgspec.Struct):
    data: list[_Run]


class _Status(msgspec.Struct):
    algorithms: list[str]
    """Those that the cluster offers."""


class _Judging(msgspec.Struct):
    data: _Status


class _Node(msgspec.Struct):
    id: str
    is_primary: bool = False


class Metrics(msgspec.Struct):
    """The contract's consensus metrics (2.8), of runs."""

    algorithm: str
    total_operations: int
    success_rate: float
    """Share with a verdict, 0 to 1; 0 without runs."""
    valid: int
    invalid: int
    failures: dict[str, int]
    """Runs without a verdict, by rule id."""
    events: int
    answers: dict[str, dict[str, int]]
    """How often each member gave which answer."""
    current_leader: str
    """The primary of the ordered log; "" if no member is it."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    add_platform_options(parser)
    parser.add_argument("--algorithm", metavar="NAME", help="count runs of one algorithm (default: all)")


def run(options: Mapping[str, Any], stdout: Output, stderr: Output) -> int:
    """Print the metrics; return the exit code."""
    wanted = options["algorithm"]
    try:
        every = ask(options["cluster"], f"events/runs?limit={RUNS_MAX}", _Runs).data
        runs = [each for each in every if wanted in (None, each.algorithm)]
        if wanted is not None and not runs:
            offered = ask(options["cluster"], "events", _Judging).data.algorithms
            if wanted not in offered:
                raise PlatformError(_not_offered(wanted, offered))
        nodes = ask(options["cluster"], "nodes", list[_Node])
    except PlatformError as error:
        stderr.write(f"dtvn consensus-metrics: {error}\n")
        return NOT_ASKED
    found = _metrics(runs, wanted or "all", nodes)
    fields = msgspec.to_builtins(found)
    stdout.write(text_of(fields, json=options["json"]))
    return SHOWN


def _not_offered(algorithm: str, offered: Sequence[str]) -> str:
    return f"--algorithm: {one_line(algorithm)} is not offered here; offered: {', '.join(offered) or 'none'}"


def _metrics(runs: Sequence[_Run], algorithm: str, nodes: Sequence[_Node]) -> Metrics:
    verdicts = Counter(each.verdict for each in runs)
    answers: dict[str, Counter[str]] = {}
    for each in runs:
        for member, given in each.votes.items():
            answers.setdefault(member, Counter()).update(given)
    decided = verdicts["valid"] + verdicts["invalid"]
    return Metrics(
        algorithm,
        len(runs),
        decided / len(runs) if runs else 0.0,
        verdicts["valid"],
        verdicts["invalid"],
        dict(Counter(each.failure or "NO_DECISIONS" for each in runs if each.verdict == "none")),
        sum(each.events for each in runs),
        {member: dict(given) for member, given in answers.items()},
        next((node.id for node in nodes if node.is_primary), ""),
    )
