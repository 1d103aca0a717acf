"""Commands whose `--help` explains: a text with its own line breaks above the flags."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

ACTOR = "operator"
"""The actor that the log names for operations requested on the command line."""


class TeachingCommand(BaseCommand):
    """Shows `teaches` unchanged; needs no database."""

    teaches: ClassVar[str] = ""
    requires_system_checks = ()
    requires_migrations_checks = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keep the line breaks of the description."""
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = self.teaches
        return parser


def add_steps(verbs: Any, name: str, *, summary: str, teaches: str) -> Any:
    """Add the verb `name`, whose help shows `teaches` unchanged; returns the subparsers for its steps, of
    which the user chooses one (option `step`)."""
    parser = verbs.add_parser(
        name, help=summary, description=teaches, formatter_class=RawDescriptionHelpFormatter
    )
    return parser.add_subparsers(dest="step", required=True, parser_class=ArgumentParser)


def add_data_folder(parser: ArgumentParser) -> None:
    """`--data-dir`; by default the platform's own folder."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(settings.DATA),
        help="data folder (default $DTVN_DATA, or ./data)",
    )


def begin_again(command: BaseCommand, folder: Path) -> None:
    """Run this process's command line anew with `folder` as the platform's own: settings were read before the
    arguments. Raises CommandError if they name another folder even so, or if a program calls the command."""
    if not getattr(command, "_called_from_command_line", False) or os.environ.get("DTVN_DATA") == str(folder):
        raise CommandError(f"the settings name another data folder, {settings.DATA}")
    os.environ["DTVN_DATA"] = str(folder)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself
