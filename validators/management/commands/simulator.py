"""`manage.py simulator run | campaign`: random worlds by seed, checked after every event."""

from __future__ import annotations

from argparse import ArgumentParser
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from simulator.campaign import Report, run

__all__ = ["Command"]

NANOSECONDS_PER_HOUR = 3_600_000_000_000


class Command(BaseCommand):
    """Exit status: 0 nothing broke a promise, 1 something did."""

    help = "Run the real consensus core in a virtual world of faults and liars."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Two verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=ArgumentParser)
        one = verbs.add_parser("run", help="play one seed, exactly as any other time")
        one.add_argument("--seed", type=int, required=True)
        one.add_argument("--json", action="store_true", help="one JSON object and nothing else")
        one.add_argument("--short", action="store_true", help="the smaller world of the smoke test")
        many = verbs.add_parser("campaign", help="play a range of seeds")
        many.add_argument("--seeds", type=seed_range, required=True, metavar="A:B", help="B is left out")
        many.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
        many.add_argument("--json", action="store_true", help="one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch."""
        if options["verb"] == "run":
            self._run(options["seed"], short=options["short"], as_json=options["json"])
        else:
            self._campaign(options["seeds"], options["jobs"], as_json=options["json"])

    def _run(self, seed: int, *, short: bool, as_json: bool) -> None:
        report = run(seed, short=short)
        if as_json:
            self.stdout.write(msgspec.json.encode(report).decode())
        else:
            for field in report.__struct_fields__:
                self.stdout.write(f"{field:13} {getattr(report, field)}")
        if report.violation is not None:
            raise CommandError(report.violation)

    def _campaign(self, seeds: range, jobs: int, *, as_json: bool) -> None:
        started = perf_counter()
        reports: list[Report] = []
        with ProcessPoolExecutor(max_workers=max(1, jobs)) as pool:
            for report in pool.map(run, seeds):
                reports.append(report)
                if report.violation is not None and not as_json:
                    self.stdout.write(f"{report.violation}\n  {report.command}")
        summary = summarise(reports, perf_counter() - started)
        if as_json:
            self.stdout.write(msgspec.json.encode(summary).decode())
        else:
            for name, value in summary.items():
                self.stdout.write(f"{name:22} {value if name != 'violations' else len(value)}")
        if summary["violations"]:
            raise CommandError(f"{len(summary['violations'])} of {len(reports)} seeds broke a promise")


def seed_range(text: str) -> range:
    """`A:B` as a range, B excluded."""
    first, _, last = text.partition(":")
    return range(int(first), int(last))


def summarise(reports: list[Report], seconds: float) -> dict[str, Any]:
    """Totals of a campaign; `events_per_second` is over all processes together."""
    events = sum(report.events for report in reports)
    return {
        "runs": len(reports),
        "operations_acknowledged": sum(report.outcomes for report in reports),
        "sequences_executed": sum(report.executed for report in reports),
        "virtual_hours": round(sum(report.virtual_time for report in reports) / NANOSECONDS_PER_HOUR, 3),
        "events": events,
        "events_per_second": round(events / seconds) if seconds else 0,
        "views_entered": sum(report.views for report in reports),
        "violations": [
            {
                "seed": report.seed,
                "checker": (report.violation or "").split(":")[0],
                "text": report.violation,
                "command": report.command,
            }
            for report in reports
            if report.violation is not None
        ],
    }
