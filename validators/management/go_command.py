"""Commands whose flags read like those of Go programs."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from django.core.management.base import BaseCommand

from dtvn.node.flags import GoFlags


class GoCommand(BaseCommand):
    """Parses Go's flags instead of Django's, and ends the process with the exit code of `run`."""

    requires_system_checks = ()

    @staticmethod
    def flags() -> GoFlags:
        """The flags of the command."""
        raise NotImplementedError

    def run(self, options: Namespace) -> int:
        """Do the command's work; return its exit code."""
        raise NotImplementedError

    def run_from_argv(self, argv: list[str]) -> None:
        """See Django."""
        sys.exit(self.run(self.flags().parse(argv[2:])))

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """For `manage.py help`."""
        self.flags().print_help()

    def handle(self, *args: Any, **options: Any) -> None:
        """Run for call_command, with options as on the command line, names with underscores."""
        given = vars(self.flags().parse([]))
        given.update({name: value for name, value in options.items() if name in given})
        if code := self.run(Namespace(**given)):
            sys.exit(code)
