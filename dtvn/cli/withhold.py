"""`dtvn withhold FILE --keep INDEX`: a transcript that shows some events without the others."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dtvn.cli.validate import Output

HELP = "show some events of a transcript without the others"
TEACH = """\
Prints the transcript without all events but those of --keep. It proves as much of them as before: their
place, their text and the verdict on them; of the others only that there were so many, and which were refused.

Exit status: 0 printed, 1 not.
"""
PRINTED, NOT_PRINTED = range(2)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    parser.add_argument("transcript", metavar="FILE", type=Path, help="the transcript")
    parser.add_argument(
        "--keep", metavar="INDEX", type=int, nargs="+", required=True, help="an event to show; the first is 0"
    )


def run(options: Mapping[str, Any], stdout: Output, stderr: Output) -> int:
    """Print the transcript with only the events `options["keep"]`; return the exit code."""
    # `dtvn validate` of a small file would pay for these imports.
    from dtvn.events.transcript import decode_transcript, encode_transcript, withhold
    from dtvn.proof import TRANSCRIPT, ProofError, read_file, transcript_json

    try:
        transcript = decode_transcript(read_file(TRANSCRIPT, options["transcript"]))
    except ProofError as error:
        stderr.write(f"dtvn withhold: {error.coded()}\n")
        return NOT_PRINTED
    indexes, kept = range(len(transcript.events)), set(options["keep"])
    hidden = [index for index in sorted(kept) if index not in indexes or not transcript.events[index].shown]
    if hidden:
        stderr.write(f"dtvn withhold: the transcript does not show event {hidden[0]}\n")
        return NOT_PRINTED
    left = withhold(transcript, set(indexes) - kept)
    stdout.write(transcript_json(encode_transcript(left)).decode() + "\n")
    return PRINTED
