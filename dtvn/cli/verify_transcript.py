"""`dtvn verify-transcript FILE --genesis CHAIN`: what a transcript proves, without a server."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dtvn.cli.validate import Output

HELP = "check the transcript of a run that a cluster judged"
TEACH = """\
Checks a transcript against an epoch chain: that these are the events of one run in their order, and that
enough members of the cluster signed the verdicts on them. Events may be withheld.

Exit status: 0 proved, 1 not.
"""
PROVED, NOT_PROVED = range(2)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    parser.add_argument("transcript", metavar="FILE", type=Path, help="the transcript")
    parser.add_argument(
        "--genesis",
        type=Path,
        required=True,
        metavar="CHAIN",
        help="the epoch chain (GET /api/v1/epochs) or a genesis.bin, from a source you trust",
    )


def run(options: Mapping[str, Any], stdout: Output, stderr: Output) -> int:
    """Check `options["transcript"]` and print what it proves; return the exit code."""
    # `dtvn validate` of a small file would pay for these imports.
    from dtvn.proof import CHAIN, TRANSCRIPT, ProofError, read_chain, read_file
    from dtvn.proof.transcripts import verify_transcript

    try:
        chain = read_chain(read_file(CHAIN, options["genesis"]))
        found = verify_transcript(read_file(TRANSCRIPT, options["transcript"]), chain)
    except ProofError as error:
        stderr.write(f"not proved: {error.coded()}\n")
        return NOT_PROVED
    stdout.write("\n".join(found.sentences()) + "\n")
    return PROVED
