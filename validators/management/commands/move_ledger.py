"""`manage.py move_ledger NODE`: moves a stopped node's ledger beside the node, or to a server of its own.

This is its parser; the work is in validators.management.moving, which --help does not import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """See the module."""

    help = (
        "Move a stopped node's ledger to a file beside the node, or with --to-server to the PostgreSQL "
        "server that DTVN_STORAGE_URL names. Safe to repeat after an interruption."
    )
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the node, and where its ledger is and goes."""
        parser.add_argument("node", metavar="NODE")
        parser.add_argument("--to-server", action="store_true", help="move it to DTVN_STORAGE_URL")
        parser.add_argument(
            "--into-platforms-database",
            action="store_true",
            help="even if that is DATABASE_URL: the node then fails together with the platform's server",
        )
        parser.add_argument("--data-dir", type=Path, default=None, help="default: DTVN_DATA, ./data")
        parser.add_argument("--ledger", type=Path, help="folder of its ledger, if its settings name another")

    def handle(self, *args: Any, **options: Any) -> None:
        """Move it; raises CommandError with one sentence."""
        from validators.management.moving import moved

        self.stdout.write(moved(options))
