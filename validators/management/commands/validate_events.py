"""`manage.py validate_events`: `dtvn validate` beside the platform's other commands."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from dtvn.cli import validate
from validators.management.teaching import TeachingCommand


class Command(TeachingCommand):
    """Exit status: 0 valid, 1 not valid, 2 not read."""

    help = "Check an AG-UI event stream."
    teaches = validate.TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        validate.add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Judge."""
        code = validate.run(options, sys.stdin.buffer, self.stdout, self.stderr)
        if code:
            sys.exit(code)
