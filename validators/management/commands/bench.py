"""`manage.py bench`: measures the network on this machine and prints ratios to the machine's floor."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

EPILOG = """Everything is real: node processes, sockets, CURVE, signatures, fsync, ticket rows, a learner.
Clusters live in a temporary folder; a running network is not touched (but competes for the cores)."""


class Command(BaseCommand):
    help = "Measure operations per second and latency, beside the machine's floor of the same run."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Flags."""
        parser.epilog = EPILOG
        parser.add_argument(
            "--nodes", type=int, nargs="+", default=[4, 7], metavar="N", help="cluster sizes (default: 4 7)"
        )
        parser.add_argument(
            "--output", type=Path, default=Path("bench.json"), help="JSON file (default: bench.json)"
        )
        parser.add_argument(
            "--scale", type=float, default=1.0, help="length of each run; 0.1 is a quick look (default: 1)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it."""
        from benchmarks.network import main

        main(options["output"], tuple(options["nodes"]), options["scale"])
