"""`dtvn COMMAND ...`: chooses the command."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from dtvn import __version__
from dtvn.cli import (
    circuit_breaker_status,
    cluster_status,
    consensus_metrics,
    diff,
    events_proxy,
    replay,
    validate,
    verify_transcript,
    withhold,
)

FAILED = 2
"""Exit status after an unexpected exception."""
READING = {"validate": validate, "diff": diff, "replay": replay}
"""Those that read standard input."""
PRINTING = {
    "events-proxy": events_proxy,
    "verify-transcript": verify_transcript,
    "withhold": withhold,
    "cluster-status": cluster_status,
    "consensus-metrics": consensus_metrics,
    "circuit-breaker-status": circuit_breaker_status,
}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="dtvn", description="Tools for AG-UI event streams.")
    parser.add_argument("--version", action="version", version=f"dtvn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, module in {**READING, **PRINTING}.items():
        one = commands.add_parser(
            name,
            help=module.HELP,
            description=module.TEACH,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_options(one)
    options = vars(parser.parse_args(arguments))
    if options["command"] in PRINTING:
        return PRINTING[options["command"]].run(options, sys.stdout, sys.stderr)
    return READING[options["command"]].run(options, sys.stdin.buffer, sys.stdout, sys.stderr)


def command() -> None:
    """The entry point of the installed program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for what the encoding lacks
    try:
        code = run()
    except Exception:  # noqa: BLE001 - Python's exit status, 1, means a verdict
        import traceback

        traceback.print_exc()
        code = FAILED
    sys.exit(code)
