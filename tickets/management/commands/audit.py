"""`manage.py audit LEDGER... --genesis CHAIN`: did these ledgers fork, and who lied? Reads, never writes.

This is its parser; the work is in tickets.management.auditing, which --help does not import."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Compare ledgers of one cluster and name the members that "
        "their own signatures convict. Exit codes: 0 no fork, no node that stopped at two certificates that "
        "contradict each other, no member convicted; 1 otherwise; 2 a file cannot be read or written."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "ledgers",
            nargs="+",
            metavar="LEDGER",
            help="ledger of a running or stopped node: an SQLite file, a folder that holds one, or "
            "postgresql://...[?schema=NAME] (without a name: every ledger of the cluster in that database)",
        )
        parser.add_argument("--genesis", type=Path, required=True, metavar="CHAIN", help="the epoch chain")
        parser.add_argument("--out", type=Path, help="folder for evidence files, one per conviction")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        from tickets.management.auditing import Auditing

        Auditing(self.stdout).run(options)
