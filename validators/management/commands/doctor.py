"""`manage.py doctor [--json] [--for SECONDS]`: what is wrong with the cluster, and what to do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from validators.management.teaching import TeachingCommand

TEACH = """\
Look twice at every node, and say in words what is wrong and what to do. Asks the same questions as
the page "Why is it stuck?". Uses the gateway key of the platform's data folder (DTVN_DATA, ./data).
"""


class Command(TeachingCommand):
    """Exit status: 0 healthy, 1 something is wrong, 2 could not look (one sentence)."""

    help = "Say what is wrong with the cluster, and what to do."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument("--json", action="store_true", help="print one object")
        parser.add_argument(
            "--for",
            dest="seconds",
            type=float,
            default=3.0,
            metavar="SECONDS",
            help="seconds between the two looks (default 3)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, and report."""
        import sys

        import msgspec
        from django.db import DatabaseError

        from dtvn.api.errors import Unavailable
        from validators.dashboard.doctor import examine

        try:
            report = examine(seconds=options["seconds"])
        except (Unavailable, DatabaseError, ValueError) as error:
            raise CommandError(f"could not look: {error}", returncode=2) from error
        if options["json"]:
            self.stdout.write(msgspec.json.encode(report).decode())
        else:
            for finding in report.findings:
                self.stdout.write(f"{finding.trouble}: {finding.wrong}\n  {finding.remedy}")
            self.stdout.write(report.sentence)
            for sentence in report.filling:
                self.stdout.write(sentence)
            if report.note:
                self.stdout.write(f"This cluster is {report.note}.")
        if not report.healthy:
            sys.exit(1)
