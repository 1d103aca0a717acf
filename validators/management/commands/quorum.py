"""`manage.py quorum [N ...]`: how many liars, and how many crashes, a cluster of N members survives."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode

SHOWN = 13


class Command(BaseCommand):
    """The quorum calculator (R37)."""

    help = (
        "Faults that a cluster of N members tolerates. A Byzantine member may send anything; f = (n-1)/3 "
        "are tolerated. A crashed member sends nothing; n-q may be down while the others decide. "
        "The two numbers differ: 5 members tolerate 1 and 1, 6 members 1 and 2. A cluster founded with "
        "--consensus raft tolerates no Byzantine member, whatever its size, and (n-1)/2 crashes: 5 members 2."
    )
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the numbers of members."""
        parser.add_argument("members", nargs="*", type=int, metavar="N", help="default: 1 to 13")
        parser.add_argument(
            "--consensus",
            choices=[each.value for each in Mode],
            default=Mode.PBFT.value,
            help="how the members agree (default pbft)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line for each number."""
        for members in options["members"] or range(1, SHOWN + 1):
            try:
                self.stdout.write(quorum.fault_tolerance_sentence(members, Mode(options["consensus"])))
            except ValueError as error:
                raise CommandError(str(error)) from error
