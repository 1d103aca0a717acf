"""`dtvn events-proxy --upstream URL`: judges event streams between an agent and its client."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dtvn.cli import serving
from dtvn.cli.platform import PlatformError, api_key
from dtvn.cli.serving import address_of, listen, names, require, serve
from dtvn.cli.validate import Output
from dtvn.events.algorithms import OFFERED

if TYPE_CHECKING:
    from dtvn.proxy import AllowHosts, Judge, Report, Reporter

HELP = "judge AG-UI event streams between an agent and its client"
TEACH = """\
Passes requests on to the AG-UI agent at URL and judges the event streams that it answers, while they pass:

  observe  every byte passes at once; what was found is printed
  mark     besides, a CUSTOM event `dtvn.verdict` stands before each bad event, and before the end of a run,
           always inside a run; its `by` is the id in the answer's header dtvn-events, which no agent knows
  refuse   RUN_ERROR stands in the place of the first bad event, and ends the stream

One line is printed for each stream, and one for each rule that it breaks. Try it:

  dtvn events-proxy --upstream http://127.0.0.1:8000 --mode mark
  curl -N http://127.0.0.1:8090/agent -d @input.json -H 'Content-Type: application/json'

Without --cluster this machine judges, and verdicts are LOCAL_ONLY: no cluster owes another one. With it, the
platform there is asked, with the key in $DTVN_API_KEY; a stream without a verdict in time is not validated,
and nobody judges it later. Protobuf, and an answer to POST that neither is said to hold events nor begins as
they do, passes with the header `dtvn-events: not_validated: media type`. Serve other machines through TLS.

Exit status: 0 stopped by Ctrl-C, 2 not started.
"""
STOPPED, NOT_STARTED = 0, 2
SILENCE_SECONDS = 300.0
TRANSCRIPT_SECONDS = 60.0
"""How long the platform is given to make a transcript, after the client has all."""
SHOWN = 10
NOT_OWED = "Nothing is owed"
"""What is said of a stream without a verdict, by the platform or by the proxy itself."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    parser.add_argument("--upstream", metavar="URL", required=True, help="the agent; paths are added to it")
    parser.add_argument("--mode", choices=["observe", "mark", "refuse"], default="observe")
    parser.add_argument(
        "--on-outage",
        choices=["pass", "refuse"],
        default="refuse",
        help="with --mode refuse: what happens to a stream that gets no verdict (default: refuse)",
    )
    parser.add_argument("--cluster", metavar="URL", help="the platform whose cluster judges")
    parser.add_argument(
        "--algorithm",
        metavar="NAME",
        help=f"how the cluster decides: {', '.join(OFFERED)} (default: the cluster's choice)",
    )
    parser.add_argument(
        "--transcripts",
        metavar="FOLDER",
        type=Path,
        help="with --cluster: the folder that gets the transcript of each stream",
    )
    serving.add_options(parser, port=8090, streams=1_000)
    parser.add_argument(
        "--verdict-seconds",
        type=seconds,
        default=2.0,
        metavar="S",
        help="how long mark and refuse hold an event for its verdict (default: 2)",
    )
    parser.add_argument(
        "--silence-seconds",
        type=seconds,
        metavar="S",
        help="how long the agent may send nothing (default: no limit; with --mode refuse 300)",
    )
    # What they asked for is always so; they are taken for one release.
    parser.add_argument("--drop-unknown", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--accept-0x", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--repair",
        action="store_true",
        help="for the official client 1.0: end lines of server-sent events with LF, leave out data: [DONE]",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each stream")


def seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < 86_400:
        raise argparse.ArgumentTypeError("a number of seconds, above 0 and under a day")
    return number


def run(options: Mapping[str, Any], stdout: Output, stderr: Output) -> int:
    """Serve until stopped; return the exit code."""
    try:
        require()

        from dtvn.proxy import AddressError
    except ImportError as error:
        stderr.write(f"dtvn events-proxy needs {error.name}: pip install 'dtvn[events]'\n")
        return NOT_STARTED
    try:
        proxy = _proxy(options, _printer(stdout, as_json=options["json"]))
        listener = listen(options["host"], options["port"])
    except (AddressError, OSError, OverflowError, ValueError, PlatformError) as error:
        stderr.write(f"dtvn events-proxy: {error}\n")
        return NOT_STARTED
    stdout.write(
        f"{address_of(listener)} -> {options['upstream']}, mode {options['mode']}. Ctrl-C stops it.\n"
    )
    serve(proxy, listener)
    return STOPPED


def _proxy(options: Mapping[str, Any], report: Reporter) -> AllowHosts:
    from dtvn.proxy import CLOSING_SECONDS, AllowHosts, EventsMiddleware, Forward, Mode, Repair

    asked = Forward(options["upstream"], silence_seconds=silence(options), streams=options["streams"])
    proxy = EventsMiddleware(
        Repair(asked) if options["repair"] else asked,
        _judge(options),
        mode=Mode(options["mode"]),
        refuse_unjudged=options["on_outage"] == "refuse",
        verdict_seconds=options["verdict_seconds"],
        closing_seconds=CLOSING_SECONDS if options["transcripts"] is None else TRANSCRIPT_SECONDS,
        report=report,
    )
    return AllowHosts(proxy, [*options["allow_host"], *names(options["host"])])


def silence(options: Mapping[str, Any]) -> float | None:
    """Seconds that the agent may send nothing; None: no limit, for `observe` and `mark` drop no stream of
    their own accord."""
    given: float | None = options["silence_seconds"]
    return SILENCE_SECONDS if given is None and options["mode"] == "refuse" else given


def _judge(options: Mapping[str, Any]) -> Judge:
    from dtvn.proxy import ClusterJudge, LocalJudge

    transcripts = options["transcripts"]
    if options["cluster"] is None:
        if transcripts is not None:
            raise ValueError("--transcripts needs --cluster: a transcript holds the members' signatures")
        if options["algorithm"] is not None:
            raise ValueError("--algorithm needs --cluster: this machine has no votes to count")
        return LocalJudge()
    if transcripts is not None:
        transcripts.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ClusterJudge(
        options["cluster"],
        key=api_key(),
        algorithm=options["algorithm"],
        drop_unknown=True,
        transcripts=transcripts,
    )


def _printer(stdout: Output, *, as_json: bool) -> Reporter:
    import msgspec

    def show(report: Report) -> None:
        if as_json:
            stdout.write(msgspec.json.encode(report).decode() + "\n")
        else:
            stdout.write("\n".join(_lines(report)) + "\n")
        getattr(stdout, "flush", lambda: None)()

    return show


def _lines(report: Report) -> list[str]:
    from dtvn.events.rules import quoted
    from dtvn.wording import counted

    said = {None: "not validated", True: "valid", False: "NOT VALID"}[report.valid]
    run = report.run and f", thread {quoted(report.run.thread_id)}, run {quoted(report.run.run_id)}"
    line = f"{report.method} {quoted(report.path)}{run or ''}: {said}. {counted(report.events, 'event')}."
    line += f" {report.scope}." if report.scope else ""
    if report.not_validated:
        owed = "" if NOT_OWED in report.not_validated else f" {NOT_OWED}: nobody judges it later."
        line += f" not_validated: {report.not_validated}.{owed}"
    line += f" Ended: {report.ended}." if report.ended != "complete" else ""
    if report.marks_unsent:
        line += f" {counted(report.marks_unsent, 'mark')} not sent, for want of a place inside a run."
    lines = [line]
    for violation in report.violations[:SHOWN]:
        field = f", {violation.field}" if violation.field else ""
        lines.append(
            f"  {violation.severity} {violation.code} at event {violation.index}{field}: {violation.message}"
        )
    more = len(report.violations) + report.omitted - SHOWN
    return [*lines, f"  ... and {more} more"] if more > 0 else lines
