"""The parser of `manage.py simulator`: its verbs and their flags."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dtvn.node.flags import GoFlags
from simulator import old_names
from simulator.cli import text
from simulator.names import ADVERSARIES, WORLDS
from simulator.options import FLAGS, PLAIN, Options

INTERRUPT_EPILOG = "Ctrl-C and SIGTERM end it and print the results so far; a second one ends it at once"
OTHER_VERBS = "other verbs: campaign, replay, shrink, mutants; `simulator VERB -h` shows their flags"
RUN_EPILOG = f"{INTERRUPT_EPILOG}\n{OTHER_VERBS}"

adversary_name = partial(old_names.current, renamed=old_names.ADVERSARIES)
world_name = partial(old_names.current, renamed=old_names.WORLDS)


def mutant_name(told: str) -> str:
    """The present name of a mutant. Imports them, which help does not need. Raises ArgumentTypeError."""
    from simulator.mutants import MUTANTS

    name = old_names.current(told, renamed=old_names.MUTANTS)
    if name and name not in MUTANTS:
        raise ArgumentTypeError(f"no mutant {name!r}; one of: {', '.join(sorted(MUTANTS))}")
    return name


def add_arguments(parser: CommandParser) -> None:
    """Add a parser for each verb."""
    verbs = parser.add_subparsers(dest="verb", required=True, parser_class=VerbParser)
    played = verbs.add_parser(
        "run", help="simulate a cluster set by flags, or one seed of a named world", epilog=RUN_EPILOG
    )
    many = verbs.add_parser("campaign", help="run a range of seeds", epilog=INTERRUPT_EPILOG)
    many.option("seeds", type=text.seed_range, required=True, metavar="A:B", help="without B")
    many.option("jobs", type=text.jobs, default=1, help=f"processes, 1 to {text.JOBS_MAX} (default 1)")
    many.option("world", type=world_name, choices=sorted(WORLDS), default="random")
    many.switch("probes", help="list every probe with its hits and first seed")
    many.switch("all-probes", help="also fail if a probe was never hit")
    again = verbs.add_parser("replay", help="print one run line by line", epilog=INTERRUPT_EPILOG)
    again.option("trace", metavar="FILE", help="write every event to this file, one JSON array per line")
    again.option("from-ms", type=int, default=0, help="print nothing before this virtual time")
    again.switch("quiet", help="print nothing, only write the trace")
    less = verbs.add_parser("shrink", help="reduce a failing run", epilog=INTERRUPT_EPILOG)
    for one in (played, again, less):
        _add_task(one)
    bugs = verbs.add_parser("mutants", help="inject bugs; show who catches them", epilog=INTERRUPT_EPILOG)
    bugs.option("jobs", type=text.jobs, default=2, help=f"processes, 1 to {text.JOBS_MAX} (default 2)")
    bugs.option(
        "only",
        type=mutant_name,
        action="append",
        default=[],
        metavar="NAME",
        help="only this mutant; may be repeated",
    )
    for one in (played, many, again, less, bugs):
        one.switch("json", help="print only one JSON object")


def _add_task(one: VerbParser) -> None:
    """Add the flags that define the task: a cluster by flags, or a seed of a named world."""
    usual = Options()
    one.option("nodes", type=int, help=f"default {usual.nodes}")
    one.option(
        "byzantine",
        type=int,
        help=f"Byzantine, the first nodes (default {usual.byzantine_nodes}, or what fewer nodes tolerate)",
    )
    one.option("tickets", type=int, help=f"default {usual.tickets}")
    one.option("duration", type=text.seconds, help=f"virtual, as 2m (default {usual.duration_seconds}s)")
    one.option("latency", type=text.milliseconds, help=f"one way (default {usual.latency_ms}ms)")
    one.option("packet-loss", type=float, help=f"0 to 1 (default {usual.packet_loss_rate})")
    one.switch("partition", default=None, help="disconnect a third of the nodes from time to time")
    one.option("adversary", type=adversary_name, metavar="KIND", help=", ".join(ADVERSARIES))
    one.option("crash-rate", type=float, help="crashes per virtual second, 0 to 10")
    one.option("seed", type=int, default=1, help="the same seed gives the same run")
    one.option(
        "world",
        type=world_name,
        choices=[PLAIN, *sorted(WORLDS)],
        default=None,
        help=f"default {PLAIN}: a cluster set by flags; for a mutant without such flags, its own world",
    )
    one.option(
        "mutant",
        type=mutant_name,
        default="",
        metavar="NAME",
        help="inject this bug",
    )
    for name in ("faults", "calls", "liars"):
        one.option(f"without-{name}", type=text.numbers, default=frozenset(), metavar="1,4-9")
    one.option("stop-after", type=text.nanoseconds, default=0, help="end the safety phase, as 2500ms")


class VerbParser(GoFlags):
    """A parser for one verb."""

    def option(self, name: str, **options: Any) -> None:
        """Add `-name` and `--name`."""
        self.add_argument(f"-{name}", f"--{name}", dest=name.replace("-", "_"), **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Reports an unknown flag together with this verb's usage."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"no such flag: {unknown[0]}")
        return found, unknown


def refuse(given: Iterable[str], why: str) -> None:
    """Raise CommandError for the first of these given flags, so that no flag is silently ignored."""
    for flag in given:
        raise CommandError(f"-{flag} {why}", returncode=2)


def given(options: dict[str, Any], flags: Iterable[str]) -> list[str]:
    """The flags that were given."""
    return [flag for flag in flags if options[name_of(flag)] is not None]


def name_of(flag: str) -> str:
    """The name of a flag's option in the parser."""
    return flag.replace("-", "_")


def is_plain(options: dict[str, Any]) -> bool:
    """Whether the flags define a cluster by flags: a mutant without any of these brings its own world."""
    if options["world"] is None:
        return not options["mutant"] or bool(given(options, FLAGS))
    return bool(options["world"] == PLAIN)
