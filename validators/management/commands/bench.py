"""`manage.py bench`: measures the network on this machine against its floors and targets."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dtvn.protocol.quorum import MEMBERS_MAX

RESULTS = Path("benchmarks/results")
EPILOG = """Everything is real: processes, sockets, CURVE, signatures, fsync, ticket rows, a learner.
Networks live in temporary folders; a running one is not touched (but competes for the cores).

--only
  table       costs, large, growth and gate in one table (default; half an hour)
  costs       processor time of all processes for an operation, in Ed25519 checks, over the gateway and REST;
              idle, memory, start; etcd beside it where it is installed (five minutes)
  curves      single operations against clients, members (--nodes) and tickets in the state (--tickets)
  large       with --tickets: import (longest stand-still), restart, a wiped node
  growth      bytes that a ticket, an admission and an operation add to a node, over 1,000,000 operations
  rejoin      a member returns under load: --behind sequences later, and wiped with --tickets
  gate        25 admissions a second beside one trouble after the other (ten minutes)
  members     25 admissions a second while members join, are replaced, re-keyed and leave (four minutes)
  followers   what 64 followers cost four members, in turn with and without them (five minutes)
  contract    200 validates by 10 clients over the REST of four validators (X43)
  events      rules of AG-UI streams on one core
  event-command
              `dtvn validate` beside the rules alone, and beside the official client in JavaScript
  event-runs  events judged by four validators: many runs, and one as fast as it comes
  event-proxy a proxy in observe beside a bare one
  event-memory
              memory over 200,000 events of a run, and 20,000 runs (ten minutes)"""
KINDS = (
    "table",
    "costs",
    "curves",
    "large",
    "growth",
    "rejoin",
    "gate",
    "members",
    "followers",
    "contract",
    "events",
    "event-command",
    "event-runs",
    "event-proxy",
    "event-memory",
)


COUNT_MAX = 9_999_999
"""Most tickets and sequences: their numbers have seven digits."""


class Between:
    """A number from `least` to `most`, of their type; for argparse."""

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> float:
        """Parse one argument."""
        kind = type(self._least)
        with suppress(ValueError):
            if self._least <= (number := kind(text)) <= self._most:
                return number
        what = "a whole number" if kind is int else "a number"
        raise ArgumentTypeError(f"{text!r} is not {what} from {self._least:,} to {self._most:,}")


class Command(BaseCommand):
    help = "Measure what operations cost, with the machine's own limits measured in the same run."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the flags."""
        parser.epilog = EPILOG
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument(
            "--only",
            choices=KINDS,
            default="table",
            help="what to measure, see below (default: table)",
        )
        parser.add_argument(
            "--scale",
            type=Between(0.01, 100.0),
            default=1.0,
            help="table, costs, curves, gate, members: length of each run; targets are for 1 (default)",
        )
        parser.add_argument(
            "--nodes",
            type=Between(1, MEMBERS_MAX),
            nargs="+",
            default=[4, 7, 13],
            metavar="N",
            help="curves: cluster sizes (default: 4 7 13)",
        )
        parser.add_argument(
            "--tickets",
            type=Between(1, COUNT_MAX),
            help="in the state (default: table, large and growth 300000, others 1000000)",
        )
        parser.add_argument(
            "--behind",
            type=Between(0, COUNT_MAX),
            default=100_000,
            help="rejoin: sequences it missed (default: %(default)s)",
        )
        parser.add_argument("--output", type=Path, help=f"JSON file (default: {RESULTS}/ONLY.json)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the benchmark, and write what it found with the machine's facts."""
        from benchmarks import cost

        sizes = options["nodes"]
        if len(set(sizes)) < len(sizes):
            raise CommandError(f"--nodes: give each size from 1 to {MEMBERS_MAX} at most once.")
        output = options["output"] or cost.REPOSITORY / RESULTS / f"{options['only']}.json"
        _check_writable(output)
        machine = cost.facts()
        found = self._measure(options)
        machine["load_at_end"] = round(os.getloadavg()[0], 1)
        output.write_text(json.dumps({"machine": machine, **found}, indent=2) + "\n", encoding="utf-8")
        self.stdout.write(", ".join(f"{name} {value}" for name, value in machine.items()))
        self.stdout.write(f"written: {output}")

    def _measure(self, options: dict[str, Any]) -> dict[str, Any]:
        from benchmarks import (
            contract,
            curves,
            event_command,
            event_memory,
            event_proxy,
            event_runs,
            events,
            followers,
            gate,
            growth,
            large,
            members,
            network,
            rejoin,
            whole,
        )

        fewer = options["only"] in ("table", "large", "growth")
        tickets: int = options["tickets"] or (300_000 if fewer else 1_000_000)
        match options["only"]:
            case "costs":
                return network.main(options["scale"])
            case "curves":
                return curves.main(options["nodes"], tickets, options["scale"])
            case "large":
                return large.main(tickets)
            case "growth":
                return growth.main(tickets)
            case "rejoin":
                return rejoin.main(options["behind"], tickets)
            case "gate":
                return gate.main(options["scale"])
            case "followers":
                return followers.main(options["scale"])
            case "members":
                return members.main(options["scale"])
            case "contract":
                return contract.main()
            case "events":
                return events.main()
            case "event-command":
                return event_command.main()
            case "event-runs":
                return event_runs.main()
            case "event-proxy":
                return event_proxy.main()
            case "event-memory":
                return event_memory.main()
        return whole.main(options["scale"], tickets)


def _check_writable(output: Path) -> None:
    """Raise CommandError if the file cannot be written: after the run it would be too late."""
    new = not output.exists()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.open("a").close()
    except OSError as error:
        text = f"--output must name a file that can be written, not {output}: {error.strerror}."
        raise CommandError(text) from error
    if new:
        output.unlink()
