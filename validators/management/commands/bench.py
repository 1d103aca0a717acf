"""`manage.py bench`: measures the network on this machine and prints ratios to the machine's floor."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

EPILOG = """Everything is real: node processes, sockets, CURVE, signatures, fsync, ticket rows, a learner.
Clusters live in a temporary folder; a running network is not touched (but competes for the cores)."""


class Command(BaseCommand):
    help = (
        "Measure operations per second and latency, with the machine's own limits measured in the same run."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the flags."""
        parser.epilog = EPILOG
        parser.add_argument(
            "--nodes", type=int, nargs="+", default=[4, 7], metavar="N", help="cluster sizes (default: 4 7)"
        )
        parser.add_argument(
            "--output", type=Path, default=Path("bench.json"), help="JSON file (default: bench.json)"
        )
        parser.add_argument(
            "--scale", type=float, default=1.0, help="length of each run; 0.1 for a quick run (default: 1)"
        )

        parser.add_argument(
            "--only",
            choices=("rates", "rejoin", "contract", "events", "event-runs"),
            default="rates",
            help="rates (default): operations per second and latency; rejoin: a member returns under load; "
            "contract: 200 validates by 10 clients over the REST of four validators (X43); "
            "events: rules of AG-UI streams on one core; event-runs: events judged by four validators",
        )
        parser.add_argument(
            "--behind", type=int, default=100_000, help="rejoin: sequences it missed (default: %(default)s)"
        )
        parser.add_argument(
            "--tickets",
            type=int,
            default=1_000_000,
            help="rejoin: tickets in the state when its ledger is deleted (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the benchmark."""
        from benchmarks import contract, event_runs, events, network, rejoin

        if options["only"] == "contract":
            contract.main(options["output"])
        elif options["only"] == "events":
            events.main(options["output"])
        elif options["only"] == "event-runs":
            event_runs.main(options["output"])
        elif options["only"] == "rejoin":
            rejoin.main(options["output"], options["behind"], options["tickets"])
        else:
            network.main(options["output"], tuple(options["nodes"]), options["scale"])
