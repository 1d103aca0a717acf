"""`manage.py simulator`: the real consensus core in a virtual world of faults and liars.

    run       a cluster by flags (the verb may be left out), or one seed of a named world
    campaign  many seeds of a world; the measure for a release
    replay    what `run` plays with the same flags, printed line by line, and as a trace for the browser
    shrink    reduce a failing run with these flags to what is needed to fail
    mutants   plant every bug that has a switch, and report which check catches it

Flags are Go's: `-flag value`, `-flag=value`, one dash or two. Exit status: 0 nothing broke a promise (out of
time and interrupted included), 1 something did, there are more liars than the nodes tolerate, or a campaign
with `--all-probes` missed one, 2 the command line is wrong. Ctrl-C and SIGTERM end any verb, and print the
findings so far; a second one ends the process at once. Before a verb has begun they print one line, and exit
with 130 or 143.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from simulator.cli.arguments import add_arguments

VERBS = ("run", "campaign", "replay", "shrink", "mutants")


class Command(BaseCommand):
    """See the module."""

    help = "Run the real consensus core in a simulated network with faults and Byzantine nodes."
    requires_system_checks = ()
    requires_migrations_checks = False

    def run_from_argv(self, argv: list[str]) -> None:
        """Like Django's, except that the verb may be left out."""
        if len(argv) < 3 or argv[2] not in VERBS:
            argv = [*argv[:2], "run", *argv[2:]]
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        """See arguments."""
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb."""
        from simulator.cli.verbs import Verbs  # the whole simulator: not for --help

        Verbs(self.stdout).run(options)
