#!/usr/bin/env python3
"""Django's command line for this project: `manage.py help` lists the commands."""

import io
import os
import signal
import sys

UNTIL_STOPPED = ("validator", "supervisor")
"""Commands that a signal ends well, from the first moment on; later they hear signals themselves."""


def main() -> None:
    if sys.argv[1:2] and sys.argv[1] in UNTIL_STOPPED:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os._exit(0))
    if sys.version_info < (3, 11):  # noqa: UP036 - a clear line for whoever runs it with an old Python
        sys.exit(f"DTVN needs Python 3.11 or newer, this is {sys.version.split()[0]}.")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names are anybody's choice, not every terminal's
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed: run `make install`, then .venv/bin/python manage.py")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a variable of the environment holds what it cannot
        sys.stderr.write(f"{' '.join(['manage.py', *sys.argv[1:2]])}: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
