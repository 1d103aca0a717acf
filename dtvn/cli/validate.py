"""`dtvn validate SOURCE`: judges a recorded or running stream, on this machine or by a cluster."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from msgspec.structs import replace

from dtvn.cli import advice, agent, run_input
from dtvn.cli.report import Report, as_json, as_text
from dtvn.cli.sources import SourceError, pieces
from dtvn.events.advice import NOTHING
from dtvn.events.marks import mark_by
from dtvn.events.rules import EventReader, FramingError, Severity
from dtvn.events.validation_config import (
    VALIDATION_PRESETS,
    ValidationConfig,
    ValidationLevel,
    rules_of,
)

if TYPE_CHECKING:
    from dtvn.cli.cluster import Cluster

HELP = "check an AG-UI event stream"
TEACH = """\
Checks a stream of AG-UI events against protocol 1.0: shape, chunks, order, and advice. SOURCE is a file,
- for standard input, or the http(s) address of an agent: server-sent events, JSON objects one a line, or a
JSON list. An agent is asked by POST for a run, with the RunAgentInput of --input or a minimal one; an address
that takes no POST is read by GET, as a recording.

--preset chooses what is checked, and --skip leaves out more:

  default, production  all
  development          no advice on timestamps, empty ids and empty texts
  permissive           no advice
  testing              as development, and each event by its shape alone, in any order

Without --cluster this machine judges, and the verdict is LOCAL_ONLY. With it, the members of the cluster vote
on each event, asked through the platform at URL with the key in $DTVN_API_KEY (scope `record`); the log
records nothing, and advice is still this machine's.

Each cause is told once. --profile chooses the advice, --off and --only switch single codes; --input gives the
state, tools and messages that the run began with, where its RUN_STARTED does not.

Exit status: 0 valid, 1 not valid or more than --max-warnings, 2 not read or not judged.
"""
VALID, NOT_VALID, NOT_READ = range(3)


class Output(Protocol):
    """A text stream to write to."""

    def write(self, text: str, /) -> object:
        """Append `text`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    parser.add_argument(
        "source", metavar="SOURCE", help="a file, an agent's http(s) address, or - for standard input"
    )
    run_input.add_option(parser)
    agent.add_options(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: `delivered` events came before the first refusal, `code` is its rule",
    )
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write the result as JUnit XML besides")
    parser.add_argument("--first", action="store_true", help="stop at the first event that is refused")
    parser.add_argument("--drop-unknown", action="store_true", help="only warn of unknown event types")
    parser.add_argument(
        "--marked",
        action="store_true",
        help="a capture from behind a proxy in mode mark: its verdicts are not the agent's events, but left "
        "out and counted (`marks`)",
    )
    parser.add_argument(
        "--preset",
        choices=[*VALIDATION_PRESETS],
        default="default",
        help="what is checked (default: default)",
    )
    parser.add_argument(
        "--skip",
        choices=["shape", "order", "advice", "timestamps", "empty"],
        action="append",
        default=[],
        help="leave out rules of shape, of order, all advice, that on timestamps, or on empty ids and texts",
    )
    advice.add_options(parser)
    parser.add_argument("--cluster", metavar="URL", help="the platform whose cluster judges")
    parser.add_argument(
        "--algorithm",
        metavar="NAME",
        help="how the cluster decides: majority, unanimous, pbft (default: the cluster's choice)",
    )


def run(options: Mapping[str, Any], stdin: BinaryIO, stdout: Output, stderr: Output) -> int:
    """Judge `options["source"]` and print the result; return the exit code."""
    report = Report(marked=options["marked"])
    try:
        _judge(options, stdin, report)
    except (SourceError, FramingError) as error:
        stderr.write(f"dtvn validate: {error}\n")
        return NOT_READ
    stdout.write(as_json(report) if options["json"] else as_text(report, options["source"]))
    if options["junit"] is not None:
        from dtvn.cli.junit import as_junit

        try:
            options["junit"].write_text(as_junit(report, options["source"]), encoding="utf-8")
        except OSError as error:
            stderr.write(f"dtvn validate: cannot write {options['junit']}: {error.strerror}\n")
            return NOT_READ
    most, warnings = options["max_warnings"], report.severities[Severity.WARNING]
    if most is not None and warnings > most:
        stderr.write(f"dtvn validate: more than {most} warnings: {warnings}\n")
        return NOT_VALID
    return VALID if report.code is None else NOT_VALID


def _configuration(options: Mapping[str, Any]) -> ValidationConfig:
    """The preset, without what is skipped."""
    changed: dict[str, Any] = {field: True for name, field in _SKIPS.items() if name in options["skip"]}
    if options["drop_unknown"]:
        changed["allow_unknown_event_types"] = True
    if "advice" in options["skip"]:
        changed |= {"level": ValidationLevel.CUSTOM, "strict": False}
    return replace(VALIDATION_PRESETS[options["preset"]], **changed, **advice.chosen_advice(options))


_SKIPS = {
    "shape": "skip_field_validation",
    "order": "skip_sequence_validation",
    "timestamps": "skip_timestamp_validation",
    "empty": "allow_empty_ids",
}


def _judge(options: Mapping[str, Any], stdin: BinaryIO, report: Report) -> None:
    config = _configuration(options)
    if options["cluster"] is None:
        if options["algorithm"] is not None:
            raise SourceError("--algorithm needs --cluster: this machine has no votes to count")
        _read(options, config, stdin, report, None)
        return
    if config.skip_field_validation or config.skip_sequence_validation or config.accept_protocol_0x:
        said = "no --skip shape, --skip order, --accept-0x or --preset testing"
        raise SourceError(f"a cluster judges by all rules of 1.0: {said}")
    # `dtvn validate` of a small file would pay for these imports.
    from dtvn.cli.cluster import Cluster

    with Cluster(options) as cluster:
        _read(options, config, stdin, report, cluster)
        report.scope = cluster.scope or report.scope


def _pieces(options: Mapping[str, Any], stdin: BinaryIO, given: run_input.Given | None) -> Iterator[bytes]:
    source = options["source"]
    if source.startswith(("http://", "https://")):
        asked = agent.Request(
            None if given is None else given.body, tuple(options["header"]), options["timeout"]
        )
        return agent.pieces(source, asked)
    if options["header"]:
        raise SourceError("--header needs the address of an agent")
    return pieces(source, stdin)


def _unmarked(found: list[tuple[int, bytes]], marks: Counter[str]) -> Iterator[tuple[int, bytes]]:
    """Yields the agent's events; counts the marks by their `by`. Raises SourceError at the second one."""
    for line, text in found:
        by = mark_by(text)
        if by is None:
            yield line, text
            continue
        marks[by] += 1
        if len(marks) > 1:
            first, second = marks
            raise SourceError(
                f"line {line}: the marks are by two: {first} and {second}, so some are no proxy's"
            )


def _read(
    options: Mapping[str, Any],
    config: ValidationConfig,
    stdin: BinaryIO,
    report: Report,
    cluster: Cluster | None,
) -> None:
    """Judge by the rules here, or by `cluster`; the advice is by the rules here."""
    given = run_input.given(options["input"])
    stream, adviser = rules_of(config, None if given is None else given.read)
    reader = EventReader(stream.limits.event_bytes)

    def take(found: list[tuple[int, bytes]]) -> bool:
        events = found if report.marks is None else list(_unmarked(found, report.marks))
        now = int(time.time() * 1000)
        judged = cluster.judge([data for _, data in events]) if cluster is not None and events else None
        plain = 0
        for place, (line, data) in enumerate(events):
            own = stream.feed(data)
            verdict = own if judged is None else judged[place]
            told = adviser.take(data, verdict, own, now)
            if told is NOTHING and stream.event is not None:
                continue
            report.pass_over(events[plain:place])
            plain = place + 1
            report.take(line, data, verdict, told, stream.event is not None)
            if not verdict.accepted and options["first"]:
                return False
        report.pass_over(events[plain:])
        return True

    try:
        for piece in _pieces(options, stdin, given):
            if not take(reader.feed(piece)):
                return
    except KeyboardInterrupt:
        # A stream that does not end is judged as far as it was read.
        pass
    if take(reader.end()):
        report.end(adviser.end(reader.line_ends))
