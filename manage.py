#!/usr/bin/env python3
"""Django's command line for this project: `manage.py help` lists the commands."""

import io
import os
import signal
import sys
from contextlib import suppress

UNTIL_STOPPED = ("validator", "supervisor")
"""Commands that run until a signal ends them, which is their normal end."""
HEAR_SIGNALS = (*UNTIL_STOPPED, "simulator")
"""Commands that handle signals themselves once they run; until then `end` does."""


def end(number: int, _frame: object) -> None:
    """Exits quietly on a signal before a command begins or after it ends: nothing needs cleaning up then."""
    if sys.argv[1] in UNTIL_STOPPED:
        os._exit(0)
    with suppress(OSError):
        os.write(2, f"{sys.argv[1]}: interrupted by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


def main() -> None:
    if sys.argv[1:2] and sys.argv[1] in HEAR_SIGNALS:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
    if sys.version_info < (3, 11):  # noqa: UP036 - a clear message when run with an old Python
        sys.exit(f"DTVN needs Python 3.11 or newer, this is {sys.version.split()[0]}.")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for characters unknown to the terminal
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        from validators.management import command_help
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed: run `make install`, then .venv/bin/python manage.py")
    try:
        if not (command_help.asked(sys.argv[1:]) and command_help.show(sys.argv)):
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a variable of the environment has an invalid value
        from validators.processes.output import refuse

        refuse(" ".join(["manage.py", *sys.argv[1:2]]), str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
