"""`dtvn validate SOURCE`: judges a recorded or running stream, on this machine or by a cluster."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from msgspec.structs import replace

from dtvn.cli import advice, agent, outputs, run_input
from dtvn.cli.sources import SourceError, is_address, pieces
from dtvn.events.advice import Profile
from dtvn.events.algorithms import OFFERED
from dtvn.events.marks import mark_by
from dtvn.events.report import Report
from dtvn.events.rules import EventReader, FramingError, Severity
from dtvn.events.validation import Checker
from dtvn.events.validation_config import VALIDATION_PRESETS, ValidationConfig, ValidationLevel

if TYPE_CHECKING:
    from dtvn.cli.cluster import Cluster

HELP = "check AG-UI event streams"
TEACH = """\
Checks streams of AG-UI events against protocol 1.0: shape, chunks, order, and advice. SOURCE is a file,
- for standard input, or the http(s) address of an agent: server-sent events, JSON objects one a line, or a
JSON list. An agent is asked by POST for a run, with the RunAgentInput of --input or a minimal one; an address
that takes no POST is read by GET, as a recording.

--preset chooses what is checked, and --skip leaves out more:

  default, production  all
  development          no advice on timestamps, empty ids and empty texts
  permissive           no advice
  testing              as development, and each event by its shape alone, in any order

Without --cluster this machine judges, and the verdict is LOCAL_ONLY: no cluster owes another one. With it,
the members of the cluster vote on each event, asked through the platform at URL with the key in $DTVN_API_KEY
(scope `record`); the log records nothing, and advice is still this machine's. While a quorum does not answer,
the command asks for half a minute, then ends with status 2. Nothing is owed then either: run it again.

Each cause is told once. --profile chooses the advice, --off and --only switch single codes; --input gives the
state, tools and messages that the run began with, where its RUN_STARTED does not.

A stream that holds no run, or whose run has not ended, breaks no rule: the verdict says so. With --complete
it is not valid; use it in CI, where an agent that sends nothing must not pass.

Exit status: 0 all valid, 1 one is not valid or there are more than --max-warnings, 2 one was not read or not
judged, or the options contradict each other.
"""
VALID, NOT_VALID, NOT_READ = range(3)


class Output(Protocol):
    """A text stream to write to."""

    def write(self, text: str, /) -> object:
        """Append `text`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="a file, an agent's http(s) address, or - for standard input",
    )
    run_input.add_option(parser)
    agent.add_options(parser)
    outputs.add_options(parser)
    parser.add_argument(
        "--complete", action="store_true", help="fail if a stream holds no run, or its run has not ended"
    )
    parser.add_argument("--first", action="store_true", help="stop at the first event that is refused")
    parser.add_argument(
        "--drop-unknown",
        action="store_true",
        help="with --profile seed: only warn of unknown event types, as the other profiles do",
    )
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
        help=f"how the cluster decides: {', '.join(OFFERED)} (default: the cluster's choice)",
    )


def run(options: Mapping[str, Any], stdin: BinaryIO, stdout: Output, stderr: Output) -> int:
    """Judge each of `options["sources"]` and print the results; return the exit code."""
    results = outputs.Results()
    try:
        config = _configuration(options)
        given = run_input.given(options["input"])
    except SourceError as error:
        stderr.write(outputs.told(options, str(error)))
        return NOT_READ
    for source in options["sources"]:
        report = Report(marked=options["marked"])
        try:
            _judge(options, source, config, given, stdin, report)
        except (SourceError, FramingError) as error:
            said = f"{source}: {error}" if isinstance(error, FramingError) else str(error)
            stderr.write(outputs.told(options, said))
            results.unread.append((source, said))
        else:
            stdout.write(outputs.printed(options, source, report, results))
            results.read.append((source, report))
    try:
        outputs.write_files(options, results)
    except SourceError as error:
        stderr.write(outputs.told(options, str(error)))
        return NOT_READ
    return _exit_code(options, results, stderr)


def _exit_code(options: Mapping[str, Any], results: outputs.Results, stderr: Output) -> int:
    if results.unread:
        return NOT_READ
    most = options["max_warnings"]
    warnings = sum(report.severities[Severity.WARNING] for _, report in results.read)
    if most is not None and warnings > most:
        stderr.write(outputs.told(options, f"more than {most} warnings: {warnings}"))
        return NOT_VALID
    return VALID if all(report.code is None for _, report in results.read) else NOT_VALID


def _configuration(options: Mapping[str, Any]) -> ValidationConfig:
    """The preset, without what is skipped. Raises SourceError if the options contradict each other."""
    changed: dict[str, Any] = {field: True for name, field in _SKIPS.items() if name in options["skip"]}
    if options["drop_unknown"]:
        changed["allow_unknown_event_types"] = True
    if "advice" in options["skip"]:
        changed |= {"level": ValidationLevel.CUSTOM, "strict": False}
    config = replace(VALIDATION_PRESETS[options["preset"]], **changed, **advice.chosen_advice(options))
    if config.skip_sequence_validation and options["complete"]:
        raise SourceError("--complete needs the rules of order: no --skip order and no --preset testing")
    if options["cluster"] is None:
        if options["algorithm"] is not None:
            raise SourceError("--algorithm needs --cluster: this machine has no votes to count")
    elif config.skip_field_validation or config.skip_sequence_validation or config.accept_protocol_0x:
        said = "no --skip shape, --skip order, --accept-0x or --preset testing"
        raise SourceError(f"a cluster judges by all rules of 1.0: {said}")
    return config


_SKIPS = {
    "shape": "skip_field_validation",
    "order": "skip_sequence_validation",
    "timestamps": "skip_timestamp_validation",
    "empty": "allow_empty_ids",
}


def _judge(
    options: Mapping[str, Any],
    source: str,
    config: ValidationConfig,
    given: run_input.Given | None,
    stdin: BinaryIO,
    report: Report,
) -> None:
    """Judge one source, on this machine or by a cluster. Raises SourceError and FramingError."""
    checker = Checker(config, None if given is None else given.read, report)
    reader = EventReader(checker.stream.limits.event_bytes, is_sse=source.endswith(".sse"))
    found = _pieces(options, source, stdin, given, reader)
    # A recording gets older, and is right all the same; the profile of the Go package asks for its age too.
    timed = is_address(source) or options["profile"] == Profile.SEED
    if options["cluster"] is None:
        _read(options, found, reader, checker, None, timed=timed)
        return
    # `dtvn validate` of a small file would pay for these imports.
    from dtvn.cli.cluster import Cluster

    with Cluster(options) as cluster:
        _read(options, found, reader, checker, cluster, timed=timed)
        report.scope = cluster.scope or report.scope


def _pieces(
    options: Mapping[str, Any],
    source: str,
    stdin: BinaryIO,
    given: run_input.Given | None,
    reader: EventReader,
) -> Iterator[bytes]:
    if is_address(source):
        asked = agent.Request(
            None if given is None else given.body, tuple(options["header"]), options["timeout"]
        )
        return agent.pieces(source, asked, reader)
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
    found: Iterator[bytes],
    reader: EventReader,
    checker: Checker,
    cluster: Cluster | None,
    *,
    timed: bool,
) -> None:
    """Judge by the rules here, or by `cluster`; the advice is by the rules here. `timed`: timestamps are
    compared with this machine's clock too."""
    marks, first = checker.report.marks, options["first"]

    def take(events: list[tuple[int, bytes]]) -> bool:
        if marks is not None:
            events = list(_unmarked(events, marks))
        judged = cluster.judge([data for _, data in events]) if cluster is not None and events else None
        return checker.take(events, int(time.time() * 1000) if timed else None, judged, first=first)

    try:
        for piece in found:
            if not take(reader.feed(piece)):
                return
    except KeyboardInterrupt:
        # A stream that does not end is judged as far as it was read.
        pass
    if take(reader.end()):
        checker.end(reader, complete=options["complete"])
