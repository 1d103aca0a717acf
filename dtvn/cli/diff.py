"""`dtvn diff A B`: in what two recorded streams differ, by what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from dtvn.cli.sources import SourceError, pieces
from dtvn.cli.validate import Output
from dtvn.events.rules import EventReader, FramingError, Limits
from dtvn.wording import one_line

if TYPE_CHECKING:
    from dtvn.events.meaning import Folding

HELP = "compare two AG-UI event streams by what they mean"
TEACH = """\
Compares two recorded streams of AG-UI events by what a client has after them: the texts of the messages in
their order, the tool calls with names, arguments and results, the activities, the final state, and how each
run ended. These mean nothing: ids and timestamps, how a text or the arguments were cut into events, whether
they came as chunks, spaces in JSON, steps, CUSTOM and RAW events, metadata of events, and token counts.

A and B are files, or - for standard input: server-sent events, JSON objects one a line, or a JSON list. Try:

  dtvn diff before.sse after.sse
  curl -sN http://127.0.0.1:8000/agent --json @input.json | dtvn diff golden.sse -

Texts are shown in one line, [-what only A says-]{+what only B says+}. Calls are paired by their content, then
by tool and arguments, then by tool. Behind an event that the rules refuse, nothing counts, as in the official
client; the outcome is then that event, with its ids. A state or an activity above 1 MiB or 128
levels is not compared, which counts as a difference. Streams that are refused at the same event are the same
up to there (exit status 0), which the output says.

Where the state or the result of a tool repeats an id, as a whole value, the id is recognised if the stream
gave it to a message, a call, the thread or a run, and if it looks as made by a program: eight letters and
digits in a row, of both sorts. All other ids are values like any others.

Exit status: 0 both mean the same, 1 they differ, 2 one cannot be read, or holds no event.
"""
SAME, DIFFERENT, NOT_READ = range(3)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    parser.add_argument("one", metavar="A", help="a file, or - for standard input")
    parser.add_argument("other", metavar="B", help="the same")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: `same`, and `differences`, each with where, number, name, at (a JSON "
        "Pointer), and a or b, which the side that lacks it leaves out; b_number where B counts otherwise; "
        "not_followed in the place of a and b",
    )


def run(options: Mapping[str, Any], stdin: BinaryIO, stdout: Output, stderr: Output) -> int:
    """Compare the two and print the result; return the exit code."""
    # Other commands would pay for these imports.
    from dtvn.cli import diff_report
    from dtvn.events.meaning import differences

    names = options["one"], options["other"]
    try:
        if names == ("-", "-"):
            raise SourceError("standard input can only be one of the two")
        one, other = (_folded(name, stdin) for name in names)
        found = differences(one.meaning(), other.meaning())
        for name, folding in zip(names, (one, other), strict=True):
            if (refusal := folding.refusal) is not None:
                said = f"{name}: event {refusal.index} is refused, and nothing behind it counts"
                stderr.write(one_line(f"dtvn diff: {said}: {refusal.code}: {refusal.message}") + "\n")
    except (SourceError, FramingError) as error:
        stderr.write(one_line(f"dtvn diff: {error}") + "\n")
        return NOT_READ
    report = diff_report.as_json if options["json"] else diff_report.as_text
    both = None if one.refusal is None or other.refusal is None else (one.refusal.index, other.refusal.index)
    stdout.write(report(names, found, both if not found else None))
    return DIFFERENT if found else SAME


def _folded(source: str, stdin: BinaryIO) -> Folding:
    """Raises SourceError, FramingError."""
    from dtvn.events.meaning import Folding, NotRead

    folding, reader = Folding(), EventReader(Limits().event_bytes)
    try:
        for piece in pieces(source, stdin):
            for _, text in reader.feed(piece):
                folding.feed(text)
        for _, text in reader.end():
            folding.feed(text)
    except FramingError as error:
        raise SourceError(f"cannot read {source}: {error}") from None
    except NotRead as error:
        raise SourceError(f"cannot compare {source}: event {folding.events - 1} has {error}") from None
    if not folding.events:
        raise SourceError(f"{source} holds no event")
    return folding
