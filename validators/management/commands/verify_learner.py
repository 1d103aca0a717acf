"""`manage.py verify_learner`: checks the platform's copy of the log from its first entry on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from dtvn.waiting import saying
from validators.backup.forms import BackupError
from validators.data_folder import environment
from validators.management.teaching import TeachingCommand, add_data_folder

TEACH = """\
Check the platform's copy of the log: every checksum, the chain of hashes, the signatures of the newest stable
checkpoint, and, by executing the whole log once more, every ticket in it. The platform may run (with
PostgreSQL it must be stopped). If something differs: manage.py rebuild_learner.
"""


class Command(TeachingCommand):
    """Exit status: 0 all is right, 1 something differs (one sentence)."""

    help = "Verify the platform's copy of the log."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        add_data_folder(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify."""
        from validators.backup.learner import verify
        from validators.backup.sources import Source

        try:
            with saying("the verification of the log from its first entry on"):
                applied, certified = verify(
                    Source(options["data_dir"].absolute(), environment.database_url())
                )
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"verified: the log up to sequence {applied}, executed once more, leads to the rows that are "
            f"there; a quorum signed its state at sequence {certified}"
        )
