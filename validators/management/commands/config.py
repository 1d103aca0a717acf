"""`manage.py config --show`: the settings of a validator and the platform, and the source of each value."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import Any

from dtvn.node.flags import GoFlags
from dtvn.node.options import UsageError
from dtvn.node.settings import SETTINGS, Setting, Settings, settings_of
from validators.data_folder.environment import VARIABLES, without_password
from validators.management.commands.validator import validator_flags
from validators.management.go_command import GoCommand

DESCRIPTION = """\
Check and show the configuration of a validator with the same flags, and of the platform.

Secrets are never shown, only whether they are set.
"""

EPILOG = """\
examples:
  manage.py config --show
  manage.py config --show -config config/validator.yaml -id node0
  DTVN_METRICS_PORT=9191 manage.py config --show

exit: 0 the configuration is valid, 2 it is not
"""

NOT_SHOWN = "(set, not shown)"


def flags() -> GoFlags:
    """The flags of the validator, and --show."""
    parser = GoFlags(prog="manage.py config", description=DESCRIPTION, epilog=EPILOG)
    parser.switch("show", help="print every value and its source (default: print only problems)")
    validator_flags(parser)
    return parser


class Command(GoCommand):
    help = "Check the configuration and show where each value came from."
    stealth_options = tuple(vars(flags().parse([])))
    flags = staticmethod(flags)

    def run(self, options: Namespace) -> int:
        """Prints the settings; returns the exit code."""
        try:
            settings = settings_of(vars(options), os.environ)
        except UsageError as error:
            self.stderr.write(str(error))
            return 2
        if options.show:
            for line in (*_validator(settings), "", *_platform(os.environ)):
                self.stdout.write(line)
        return 0


def _validator(settings: Settings) -> Iterable[str]:
    yield "# validator: flags override the environment, then the file, then defaults"
    section = ""
    for setting in SETTINGS:
        if (head := setting.key.partition(".")[0]) != section:
            section = head
            yield f"{head}:"
        name = setting.key.partition(".")[2]
        yield _row(f"  {name}:", _shown(setting, settings[setting.key]), settings.source(setting.key))


def _platform(environment: Mapping[str, str]) -> Iterable[str]:
    yield "# platform (make up): environment variables"
    for variable in VARIABLES:
        value = environment.get(variable.name, "")
        said = variable.default
        if value:
            said = NOT_SHOWN if variable.secret else _told(variable.name, value)
        yield _row(f"{variable.name}:", said, variable.name if value else "default")


def _shown(setting: Setting, value: Any) -> str:
    if setting.secret:
        return NOT_SHOWN if value else "(none)"
    if value is None:
        return "(depends)"
    return setting.kind.show(value) or '""'


def _row(name: str, value: str, source: str) -> str:
    return f"{name:<26} {value:<28} # {source}"


def _told(name: str, value: str) -> str:
    """A variable's value; of a URL only scheme, host and port, since a password may stand in the rest."""
    if not name.endswith("_URL"):
        return value
    return without_password(value) if "://" in value else NOT_SHOWN
