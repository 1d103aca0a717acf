"""`manage.py down`: stop a network that is still running without its terminal. `make down` calls this."""

import os
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dtvn.waiting import look_until, saying
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import lock_holder
from validators.management.teaching import add_data_folder

PATIENCE = 15.0
"""Seconds for an orderly end before all remaining processes are killed."""


class Command(BaseCommand):
    help = "Stop the network on a data folder, however it was started."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_data_folder(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        from validators.processes.supervisor import end_process  # imports models, which a parser needs not

        folder = DataFolder(options["data_dir"].expanduser().absolute())
        try:
            running = everything(folder)
            if not running:  # left behind by a network that was killed
                folder.credentials.unlink(missing_ok=True)
        except OSError as error:
            raise CommandError(f"make down: {folder.root} cannot be used: {error.strerror}.") from error
        if not running:
            self.stdout.write(f"no network is running on {folder.root}")
            return
        if up := running.get("up"):
            os.kill(up, signal.SIGTERM)
        with saying(f"{', '.join(running)} to end; after {PATIENCE:.0f} s they are killed"):
            look_until(lambda: not everything(folder), PATIENCE, pause=0.1)
        for pid in everything(folder).values():
            end_process(pid)
        with saying("the killed processes to end"):
            look_until(lambda: not everything(folder), PATIENCE, pause=0.1)
        if left := everything(folder):
            sys.exit(f"make down: {', '.join(f'{name} ({pid})' for name, pid in left.items())} did not stop")
        folder.end_credentials()
        self.stdout.write(f"stopped the network on {folder.root}")


def everything(folder: DataFolder) -> dict[str, int]:
    """All processes of the network, including `up`."""
    from validators.processes.supervisor import holders

    up = lock_holder(folder.lock_file)
    return holders(folder) | ({"up": up} if up is not None else {})
