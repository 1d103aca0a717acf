"""Help and release of the command line without Django's start: no model is loaded to print a parser's text.

`manage.py --help` and `manage.py COMMAND --help` take a third of the processor time this way. It relies on
one rule: importing a command of this project imports no model (tests/platform/test_command_help.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings
from django.core.exceptions import AppRegistryNotReady
from django.core.management import find_commands, load_command_class
from django.core.management.base import BaseCommand

from dtvn import __version__

ASKS = frozenset({"-h", "-help", "--help"})
RELEASE = frozenset({"-version", "--version"})
MAIN = frozenset({"help", *ASKS})
USAGE = """\
usage: manage.py COMMAND [options]

Commands; `manage.py COMMAND --help` explains one:
"""


def asked(arguments: Sequence[str]) -> bool:
    """Whether these arguments (argv without the program) ask for help or the release, and nothing else is to
    be done."""
    words = list(arguments)
    if words[-1:] and words[-1] in RELEASE:
        return len(words) <= 2
    words = words[: words.index("--")] if "--" in words else words
    return words == ["help"] or words[:1] == ["help"] != words[1:2] or not ASKS.isdisjoint(words)


def show(argv: Sequence[str]) -> bool:
    """Print the help or release asked for by `argv`. Returns False, having printed nothing, if only Django
    can: for a command that is not this project's. May end the process as argparse does (SystemExit)."""
    words = [word for word in argv[1:] if word not in MAIN]
    if argv[1] in ASKS or argv[1:] == ["help"]:
        sys.stdout.write(_overview())
        return True
    if argv[1] in RELEASE:
        sys.stdout.write(f"manage.py {__version__}\n")
        return True
    homes = {name: app for app, names in _commands().items() for name in names}
    if not words or words[0] not in homes:
        return False
    if argv[2:] and argv[2] in RELEASE:
        sys.stdout.write(f"{words[0]} {__version__}\n")
        return True
    try:
        command = load_command_class(homes[words[0]], words[0])
    except AppRegistryNotReady:  # its module imports models
        return False
    if argv[1] == "help":
        command.print_help("manage.py", words[0])
    else:
        command.run_from_argv(list(argv))
    return True


def _overview() -> str:
    lines = [USAGE]
    for app, names in _commands(own=False).items():
        lines += [f"[{app.rpartition('.')[2]}]", *(f"    {name}" for name in sorted(names)), ""]
    return "\n".join(lines)


def _commands(*, own: bool = True) -> dict[str, list[str]]:
    """Names of commands by the package of their app; `own`: only of this project's apps."""
    found: dict[str, list[str]] = {}
    places = [("django.core", Path(sys.modules[BaseCommand.__module__].__file__ or "").parent)]
    for entry in settings.INSTALLED_APPS:
        package = entry.partition(".apps.")[0]
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            places.append((package, Path(spec.origin).parent / "management"))
    for package, place in places:
        if own and not place.is_relative_to(settings.BASE_DIR / package.replace(".", "/")):
            continue
        if names := find_commands(str(place)):
            found[package] = names
    return found
