"""`manage.py rebuild_learner`: removes the platform's copy of the log, so that it is built anew."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from validators.backup.forms import BackupError
from validators.data_folder import environment
from validators.management.teaching import TeachingCommand, add_data_folder

TEACH = """\
Remove the platform's copy of the log. At its next start the learner takes the log from the members, and
verifies and executes it anew; pages show old numbers until it has caught up. Nothing else is touched. The
platform must be stopped (make down).
"""


class Command(TeachingCommand):
    """Exit status: 0 removed, 1 not (one sentence)."""

    help = "Remove the platform's copy of the log; it is built anew from the members."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        add_data_folder(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove."""
        from validators.backup.learner import remove
        from validators.backup.sources import Source

        try:
            remove(Source(options["data_dir"].absolute(), environment.database_url()))
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("removed: start the platform (make up), which builds it anew from the members")
