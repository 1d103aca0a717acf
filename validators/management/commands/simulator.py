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

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dtvn.node.flags import GoFlags
from simulator import old_names
from simulator.adversary import ADVERSARIES
from simulator.campaign import Cut, Report, Task, run
from simulator.cli import batch, text
from simulator.cli.bar import bar
from simulator.cli.interrupts import Interrupts
from simulator.mutants import MUTANTS
from simulator.onlooker import Onlooker
from simulator.options import FLAGS, PLAIN, OptionError, Options, Plain, by_hand
from simulator.plain import PlainRun, Results
from simulator.shrinking import shrink
from simulator.tracing import Teller, Tracer
from simulator.violation import Interrupted
from simulator.worlds import WORLDS

__all__ = ["Command"]

INTERRUPT_EPILOG = "Ctrl-C and SIGTERM end it and what was found so far is told; a second one ends it at once"
OTHER_VERBS = "other verbs: campaign, replay, shrink, mutants; `simulator VERB -h` tells their flags"
RUN_EPILOG = f"{INTERRUPT_EPILOG}\n{OTHER_VERBS}"
VERBS = ("run", "campaign", "replay", "shrink", "mutants")
OWN_CLUSTER = "makes the cluster of a run by flags; a named world brings its own"
CUT_FLAGS = ("without-faults", "without-calls", "without-liars", "stop-after")
NO_CUT = "is for a named world or a mutant's own; a run by flags has fewer -tickets, -nodes or -byzantine"

Ended = Report | Results

adversary_name = partial(old_names.current, renamed=old_names.ADVERSARIES)
world_name = partial(old_names.current, renamed=old_names.WORLDS)
mutant_name = partial(old_names.current, renamed=old_names.MUTANTS)


class Command(BaseCommand):
    """See the module."""

    help = "Run the real consensus core in a virtual world of faults and liars."
    requires_system_checks = ()
    requires_migrations_checks = False

    def run_from_argv(self, argv: list[str]) -> None:
        """Like Django's, except that the verb may be left out."""
        if len(argv) < 3 or argv[2] not in VERBS:
            argv = [*argv[:2], "run", *argv[2:]]
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a parser for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=Words)
        played = verbs.add_parser(
            "run", help="a cluster by flags, or one seed of a named world", epilog=RUN_EPILOG
        )
        many = verbs.add_parser("campaign", help="play a range of seeds", epilog=INTERRUPT_EPILOG)
        many.option("seeds", type=text.seed_range, required=True, metavar="A:B", help="B is left out")
        many.option("jobs", type=text.jobs, default=1, help=f"processes, 1 to {text.JOBS_MAX} (default 1)")
        many.option("world", type=world_name, choices=sorted(WORLDS), default="random")
        many.switch("probes", help="list every probe with its hits and first seed")
        many.switch("all-probes", help="fail, too, when a probe was never hit")
        again = verbs.add_parser("replay", help="a run, told line by line", epilog=INTERRUPT_EPILOG)
        again.option("trace", metavar="FILE", help="write every event there, one JSON array a line")
        again.option("from-ms", type=int, default=0, help="tell nothing before this virtual time")
        again.switch("quiet", help="tell nothing, only write the trace")
        less = verbs.add_parser(
            "shrink", help="what of a failing run is needed to fail", epilog=INTERRUPT_EPILOG
        )
        for one in (played, again, less):
            self._add_task(one)
        bugs = verbs.add_parser(
            "mutants", help="plant bugs and see who catches them", epilog=INTERRUPT_EPILOG
        )
        bugs.option("jobs", type=text.jobs, default=2, help=f"processes, 1 to {text.JOBS_MAX} (default 2)")
        bugs.option(
            "only",
            type=mutant_name,
            action="append",
            default=[],
            metavar="NAME",
            help="this one only; may be repeated",
        )
        for one in (played, many, again, less, bugs):
            one.switch("json", help="one JSON object and nothing else")

    @staticmethod
    def _add_task(one: Words) -> None:
        """Add the flags that define the task: a cluster by flags, or a seed of a named world."""
        usual = Options()
        one.option("nodes", type=int, help=f"default {usual.nodes}")
        one.option(
            "byzantine",
            type=int,
            help=f"liars, the first nodes (default {usual.byzantine_nodes}, or what fewer nodes tolerate)",
        )
        one.option("tickets", type=int, help=f"default {usual.tickets}")
        one.option("duration", type=text.seconds, help=f"virtual, as 2m (default {usual.duration_seconds}s)")
        one.option("latency", type=text.milliseconds, help=f"one way (default {usual.latency_ms}ms)")
        one.option("packet-loss", type=float, help=f"0 to 1 (default {usual.packet_loss_rate})")
        one.switch("partition", default=None, help="cut a third of the nodes off now and then")
        one.option("adversary", type=adversary_name, metavar="KIND", help=", ".join(ADVERSARIES))
        one.option("crash-rate", type=float, help="crashes a virtual second, 0 to 10")
        one.option("seed", type=int, default=1, help="the same seed gives the same run")
        one.option(
            "world",
            type=world_name,
            choices=[PLAIN, *sorted(WORLDS)],
            default=None,
            help=f"default {PLAIN}: a cluster by flags; of a mutant without such flags its own",
        )
        one.option(
            "mutant",
            type=mutant_name,
            choices=sorted(MUTANTS),
            default="",
            metavar="NAME",
            help="plant this bug",
        )
        for name in ("faults", "calls", "liars"):
            one.option(f"without-{name}", type=text.numbers, default=frozenset(), metavar="1,4-9")
        one.option("stop-after", type=text.nanoseconds, default=0, help="end the safety phase, as 2500ms")

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch."""
        self._interrupts = Interrupts()
        with self._interrupts.heard():
            getattr(self, "_" + options["verb"])(options)

    # --- verbs -----------------------------------------------------------------------------------

    def _run(self, options: dict[str, Any]) -> None:
        wanted = self._wanted(options)
        if isinstance(wanted, Plain):
            found: Ended = self._run_plain(wanted, quietly if options["json"] else self._say)
        else:
            found = self._play(wanted)
        self._end(found, as_json=options["json"])

    def _run_plain(self, wanted: Plain, say: Callable[[str], None]) -> Results:
        total = wanted.options.tickets
        one = PlainRun(
            wanted.options, lambda *numbers: say(text.progress(total, *numbers)), mutant=wanted.mutant
        )
        with self._interrupts.during(lambda: end(one)):
            for line in text.banner(wanted.options, one.liars):
                say(line)
            return one.run()

    def _wanted(self, options: dict[str, Any]) -> Task | Plain:
        """The task that the flags define; raise CommandError if they are invalid."""
        if not is_plain(options):
            refuse(given(options, FLAGS), OWN_CLUSTER)
            return task_of(options)
        refuse((flag for flag in CUT_FLAGS if options[name_of(flag)]), NO_CUT)
        fields = {FLAGS[flag]: options[name_of(flag)] for flag in given(options, FLAGS)}
        try:
            return Plain(by_hand({"seed": options["seed"], **fields}), options["mutant"])
        except OptionError as error:
            if error.field != "byzantine_nodes" or fields["byzantine_nodes"] < 0:
                raise CommandError(str(error), returncode=2) from error
            if not options["json"]:
                self._say(f"Error: {error}")  # the seed's own answer: on stdout, and 1 (C47)
            raise CommandError(str(error), returncode=1) from error

    def _campaign(self, options: dict[str, Any]) -> None:
        seeds = options["seeds"]
        tasks = (Task(seed, options["world"]) for seed in seeds)
        tell = None if options["json"] else self._say
        with self._interrupts.during(), bar(len(seeds), "Playing seeds") as played:
            summary = batch.campaign(tasks, options["jobs"], tell, played)
        if options["json"]:
            self._json(summary)
        else:
            for line in text.summary(summary, with_probes=options["probes"]):
                self._say(line)
        verdict = text.verdict(summary)
        missed = summary["probes_hit"] < summary["probes_total"]
        if summary["violations"] or (missed and options["all_probes"]):
            raise CommandError(verdict)
        if not options["json"]:
            self._say(verdict)

    def _replay(self, options: dict[str, Any]) -> None:
        wanted = self._wanted(options)
        onlookers = []
        if not options["quiet"] and not options["json"]:
            onlookers.append(Teller(self._say, since=options["from_ms"] * 1_000_000))
        if not options["trace"]:
            found = self._play(wanted, *onlookers)
        else:
            try:
                with open(options["trace"], "wb") as file:
                    tracer = Tracer(file.write)
                    found = self._play(wanted, *onlookers, tracer)
                    tracer.close(found)
            except OSError as error:
                why = f"{options['trace']} cannot be written: {error.strerror}"
                raise CommandError(why, returncode=2) from error
        self._end(found, as_json=options["json"])

    def _shrink(self, options: dict[str, Any]) -> None:
        wanted = self._wanted(options)
        try:
            with self._interrupts.during():
                found = shrink(wanted, None if options["json"] else self._say)
        except Interrupted as interrupted:
            found = report_of(interrupted, wanted)
        if found is None:
            raise CommandError("nothing to shrink: this run breaks no promise", returncode=2)
        if options["json"]:
            self._json(found)
        else:
            self._say(found.violation or "interrupted before it was known whether this run fails")
            self._say(found.command)

    def _mutants(self, options: dict[str, Any]) -> None:
        unknown = [name for name in options["only"] if name not in MUTANTS]
        if unknown:
            raise CommandError(f"no mutant {unknown[0]!r}", returncode=2)
        tell = None if options["json"] else self._say
        with self._interrupts.during():
            summary = batch.mutants(options["only"] or list(MUTANTS), options["jobs"], tell)
        if options["json"]:
            self._json(summary)
        missed = [mutant["name"] for mutant in summary["mutants"] if not mutant["caught"]]
        caught = f"{summary['caught']} of {summary['total']} mutants were caught"
        if missed:
            raise CommandError(f"{caught}; these got away: {', '.join(missed)}")
        if not options["json"] and summary["ended"] == "interrupted":
            self._say(f"interrupted: {summary['caught']} mutants were caught so far, none got away")
        elif not options["json"]:
            self._say(f"{caught} in {summary['seconds']} s")

    def _play(self, wanted: Task | Plain, *onlookers: Onlooker) -> Ended:
        """Play the task; returns the result as far as it was played."""
        try:
            if isinstance(wanted, Plain):
                one = PlainRun(wanted.options, lambda *_numbers: None, *onlookers, mutant=wanted.mutant)
                with self._interrupts.during(lambda: end(one)):
                    return one.run()
            with self._interrupts.during():
                return run(wanted, *onlookers)
        except Interrupted as interrupted:
            return report_of(interrupted, wanted)

    def _end(self, found: Ended, *, as_json: bool) -> None:
        """Print the result of a run; raise CommandError for a broken promise."""
        if as_json:
            self._json(found)
        elif isinstance(found, Report):
            self._say(text.report(found))
        else:
            for line in text.results(found):
                self._say(line)
        if found.violation is not None:
            raise CommandError(f"violation: {found.violation}")

    def _json(self, value: object) -> None:
        self._say(msgspec.json.encode(value).decode())

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class Words(GoFlags):
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


def quietly(_line: str) -> None:
    """Print nothing."""


def end(one: PlainRun) -> None:
    """End a run by flags: after the current event, or at once if no event follows."""
    if not one.stop():
        raise Interrupted


def report_of(interrupted: Interrupted, wanted: Task | Plain) -> Ended:
    """The findings of the interrupted run; empty if it was interrupted before it began."""
    if isinstance(interrupted.found, Report | Results):
        return interrupted.found
    if isinstance(wanted, Plain):
        tickets, seed = wanted.options.tickets, wanted.options.seed
        return Results(tickets, seed=seed, command=wanted.command, ended="interrupted")
    return Report(wanted.seed, wanted.world, 0, (), wanted.command, ended="interrupted")


def task_of(options: dict[str, Any]) -> Task:
    """The task for a seed of a named world. A mutant selects the world in which its seed finds it."""
    mutant = options["mutant"]
    world = options["world"] or MUTANTS[mutant].world
    cut = Cut(
        faults=options["without_faults"],
        calls=options["without_calls"],
        liars=options["without_liars"],
        duration=options["stop_after"],
    )
    return Task(options["seed"], world, mutant, cut)
