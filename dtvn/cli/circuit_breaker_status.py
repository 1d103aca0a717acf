"""`dtvn circuit-breaker-status --cluster URL`: which members a platform has stopped to use as entry nodes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from dtvn.cli.platform import PlatformError, add_platform_options, fetch, text_of
from dtvn.cli.validate import Output
from dtvn.events.balancing import BreakerState

HELP = "show the circuit breakers of a cluster's members"
TEACH = """\
Shows, for each member of a cluster, the circuit breaker of the platform at URL: closed, open (the platform
enters the cluster by other members) or half-open (it tries again). The key is that in $DTVN_API_KEY.

Exit status: 0 all closed, 1 not, 2 not asked.
"""
ALL_CLOSED, NOT_ALL_CLOSED, NOT_ASKED = range(3)
LINE = re.compile(r'^dtvn_platform_breaker_state\{node_id="([^"]*)"\} ([0-2])', re.MULTILINE)


def breaker_states(metrics: str) -> dict[str, BreakerState]:
    """The state of each member's breaker, by member id, in a platform's metrics (Prometheus text)."""
    return {name: BreakerState(int(state)) for name, state in LINE.findall(metrics)}


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
    fields = {name: state.name.lower().replace("_", "-") for name, state in states.items()}
    stdout.write(text_of(fields, json=options["json"]))
    return NOT_ALL_CLOSED if any(states.values()) else ALL_CLOSED
