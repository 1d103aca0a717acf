"""`manage.py up`: the whole network in one foreground process. `make up` calls this."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.management.teaching import add_data_folder, begin_again
from validators.processes.output import refuse

PORT_DEFAULT = "8080"
HOST_DEFAULT = "127.0.0.1"


class Command(BaseCommand):
    help = (
        "Run a network: validators, learner, workers and web process, until Ctrl-C. "
        "Other settings come from the environment: DATABASE_URL, CELERY_BROKER_URL."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_data_folder(parser)
        parser.add_argument(
            "--nodes", default=os.environ.get("NODES", ""), help="number of validators (first start only)"
        )
        parser.add_argument(
            "--consensus",
            default=os.environ.get("CONSENSUS", ""),
            help="how they agree, pbft (default) or raft, with which a lying member is not tolerated (first "
            "start only, see manage.py genesis --help)",
        )
        parser.add_argument("--host", default=os.environ.get("DTVN_HOST") or HOST_DEFAULT)
        parser.add_argument("--port", default=os.environ.get("PORT") or PORT_DEFAULT)

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["data_dir"].expanduser().absolute()
        if folder != settings.DATA:
            try:
                begin_again(self, folder)
            except CommandError as error:
                refuse("make up", str(error))
                sys.exit(1)
        nodes, port = number(options["nodes"], "NODES"), number(options["port"], "PORT")
        consensus = environment.consensus(options["consensus"])
        if port is None or not 1 <= port <= 65_535:
            raise ImproperlyConfigured(f"PORT={options['port']} is not between 1 and 65535")
        host = options["host"]
        # The environment that the children read: see validators.data_folder.environment.
        os.environ |= {"DTVN_DATA": str(settings.DATA), "DTVN_HOST": host, "PORT": str(port)}
        from validators.processes import supervisor

        sys.exit(
            supervisor.run(DataFolder(settings.DATA), host=host, port=port, nodes=nodes, consensus=consensus)
        )


def number(text: str, name: str) -> int | None:
    """The whole number in `text`, None if it is empty. Raises ImproperlyConfigured."""
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={text} is not a number") from error
