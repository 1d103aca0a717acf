"""`dtvn replay FILE`: a recorded stream as an agent, for tests of front ends."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from dtvn.cli import serving
from dtvn.cli.serving import address_of, listen, names, require, serve
from dtvn.cli.sources import SourceError, pieces
from dtvn.cli.validate import Output
from dtvn.events.rules import EventReader, FramingError, Limits, Reading, Stream, quoted
from dtvn.wording import counted, one_line

if TYPE_CHECKING:
    from dtvn.replay import Answered

HELP = "answer as an agent with a recorded AG-UI event stream"
TEACH = """\
Serves FILE as an AG-UI agent, so that a front end is tested without a model: each POST of a RunAgentInput, at
any path, is answered with a recorded run as server-sent events. FILE holds server-sent events, JSON objects
one a line, or a JSON list; `curl -N ... > run.sse` records one. Try:

  dtvn replay run.sse --port 8000 --allow-origin http://localhost:3000
  curl -N http://127.0.0.1:8000 -H 'Content-Type: application/json' \\
       -d '{"threadId":"t","runId":"r","messages":[]}'

Several runs in FILE answer one after the other within each thread, and after the last one comes the first
again. Thread and run have the ids of the request; a run that a thread gets once more has new ids for its
messages and calls, since clients append to a message that they have. --as-recorded changes nothing. Events
that have a timestamp come as far apart as they were recorded, at most 60 s: --speed 10 makes them ten times
faster, --no-delay sends them at once.

Pages in a browser get 403 unless --allow-origin names their origin. The server listens on this machine only,
unless --host says otherwise, and answers to addresses, localhost and --allow-host.

Exit status: 0 stopped by Ctrl-C, 2 not started.
"""
STOPPED, NOT_STARTED = 0, 2
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/\s?#@,]+")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    parser.add_argument("file", metavar="FILE", help="the recorded stream, or - for standard input")
    serving.add_options(parser, port=8000, streams=100)
    parser.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        type=origin,
        action="append",
        default=[],
        help="an origin whose pages may ask, such as http://localhost:3000; may be repeated; * for any; "
        "pages of others get 403",
    )
    parser.add_argument("--as-recorded", action="store_true", help="leave all ids as they were recorded")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--speed",
        type=speed,
        metavar="N",
        default=1.0,
        help="send N times faster than the timestamps say (default: 1)",
    )
    pace.add_argument("--no-delay", action="store_true", help="send all events of a run at once")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each request")


def origin(text: str) -> str:
    """An origin as browsers send it."""
    found = text.removesuffix("/")
    if not _ORIGIN.fullmatch(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no origin, such as http://localhost:3000")
    return found


def speed(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1_000_000:
        raise argparse.ArgumentTypeError("a number above 0, such as 10 or 0.5")
    return number


def run(options: Mapping[str, Any], stdin: BinaryIO, stdout: Output, stderr: Output) -> int:
    """Serve until stopped; return the exit code."""
    try:
        require()

        from dtvn.proxy import AllowHosts
        from dtvn.replay import Replay, has_times, runs_of
    except ImportError as error:
        stderr.write(f"dtvn replay needs {error.name}: pip install 'dtvn[events]'\n")
        return NOT_STARTED
    try:
        texts = _read(options["file"], stdin)
        runs = runs_of(texts)
        replay = Replay(
            runs,
            as_recorded=options["as_recorded"],
            speed=None if options["no_delay"] else options["speed"],
            origins=options["allow_origin"],
            streams=options["streams"],
            report=_printer(stdout, len(runs), as_json=options["json"]),
        )
        app = AllowHosts(replay, [*options["allow_host"], *names(options["host"])])
        listener = listen(options["host"], options["port"])
    except (SourceError, OSError, OverflowError, ValueError) as error:
        stderr.write(one_line(f"dtvn replay: {error}") + "\n")
        return NOT_STARTED
    for said in _doubts(options, texts, timed=has_times(runs)):
        stderr.write(f"dtvn replay: {said}\n")
    held = f"{counted(len(runs), 'run')}, {counted(len(texts), 'event')}"
    file = one_line(options["file"])
    stdout.write(f"{address_of(listener)} answers POST with {file}: {held}. Ctrl-C stops it.\n")
    _flush(stdout)
    serve(app, listener)
    return STOPPED


def _read(source: str, stdin: BinaryIO) -> list[bytes]:
    """The JSON texts of the events. Raises SourceError."""
    reader, texts = EventReader(Limits().event_bytes), []
    try:
        for piece in pieces(source, stdin):
            texts += [text for _, text in reader.feed(piece)]
        texts += [text for _, text in reader.end()]
    except FramingError as error:
        raise SourceError(f"cannot read {source}: {error}") from None
    if not texts:
        raise SourceError(f"{source} holds no event")
    return texts


def _doubts(options: Mapping[str, Any], texts: Sequence[bytes], *, timed: bool) -> list[str]:
    """What somebody who starts this replay may not expect."""
    found = []
    stream = Stream(reading=Reading.CLIENT)
    refusals = (verdict.violations[0] for text in texts if not (verdict := stream.feed(text)).accepted)
    if (first := next(refusals, None)) is not None:
        found.append(f"event {first.index} breaks a rule, {first.code}; it is sent all the same")
    if not timed and options["speed"] != 1.0:
        found.append("--speed changes nothing, for the events have no timestamps")
    return found


def _printer(stdout: Output, runs: int, *, as_json: bool) -> Callable[[Answered], None]:
    def show(answered: Answered) -> None:
        if as_json:
            stdout.write(json.dumps(msgspec.to_builtins(answered)) + "\n")
        elif answered.said:
            stdout.write(f"refused: {one_line(answered.said)}\n")
        else:
            which = f"run {answered.number} of {runs}" if runs > 1 else "the run"
            left = "" if answered.whole else ", then the client left"
            names = f"thread {quoted(answered.thread)}, run {quoted(answered.run)}"
            stdout.write(f"{names}: {which}, {counted(answered.events, 'event')}{left}.\n")
        _flush(stdout)

    return show


def _flush(stdout: Output) -> None:
    getattr(stdout, "flush", lambda: None)()
