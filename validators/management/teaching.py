"""Commands whose `--help` teaches: a text with lines of its own above the flags."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser

__all__ = ["TeachingCommand"]


class TeachingCommand(BaseCommand):
    """Shows `teaches` as it stands; needs no database."""

    teaches: ClassVar[str] = ""
    requires_system_checks = ()
    requires_migrations_checks = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keep the lines of the description as they are."""
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = self.teaches
        return parser
