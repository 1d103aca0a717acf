"""`manage.py web`: another web process of a platform that `make up` runs."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from validators.processes.output import refuse

MODULE = "validators.processes.further_web"
PORT_DEFAULT = "8081"
HOST_DEFAULT = "127.0.0.1"


class Command(BaseCommand):
    help = (
        "Serve pages, REST and live feed of a platform that make up runs, on this host or another one that "
        "reaches its nodes. "
        "Set DATABASE_URL, CELERY_BROKER_URL, DTVN_SECRET_KEY, DTVN_ALLOWED_HOSTS and DTVN_HTTPS as there."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=os.environ.get("DTVN_HOST") or HOST_DEFAULT)
        parser.add_argument("--port", default=os.environ.get("PORT") or PORT_DEFAULT)

    def handle(self, *args: Any, **options: Any) -> None:
        """Settings were read before the options were parsed, so the process is executed anew."""
        port = str(options["port"])
        if not port.isdecimal() or not 1 <= int(port) <= 65_535:
            refuse("web", f"PORT={port} is not between 1 and 65535")
            sys.exit(1)
        environment = {"DTVN_DATA": str(settings.DATA), "DTVN_HOST": options["host"], "PORT": port}
        os.chdir(settings.BASE_DIR)
        command = [sys.executable, "-m", MODULE]
        os.execve(sys.executable, command, os.environ | environment)  # noqa: S606 - this program
