"""`dtvn circuit-breaker-status --cluster URL`: which members a platform no longer enters the cluster by."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from dtvn.cli.platform import PlatformError, add_platform_options, breaker_states, fetch, text_of
from dtvn.cli.validate import Output

HELP = "show the circuit breakers of a cluster's members"
TEACH = """\
Shows, for each member of a cluster, the circuit breaker of the platform at URL: closed, open (the platform
enters the cluster by other members) or half-open (it tries again). The key is that in $DTVN_API_KEY.

Exit status: 0 all closed, 1 not, 2 not asked.
"""
ALL_CLOSED, NOT_ALL_CLOSED, NOT_ASKED = range(3)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    add_platform_options(parser)


def run(options: Mapping[str, Any], stdout: Output, stderr: Output) -> int:
    """Print the states; return the exit code."""
    try:
        states = breaker_states(fetch(options["cluster"], "metrics").decode("utf-8", "replace"))
        if not states:
            raise PlatformError(f"{options['cluster']} has not reached its cluster yet")
    except PlatformError as error:
        stderr.write(f"dtvn circuit-breaker-status: {error}\n")
        return NOT_ASKED
    stdout.write(text_of(states, json=options["json"]))
    return ALL_CLOSED if set(states.values()) == {"closed"} else NOT_ALL_CLOSED
