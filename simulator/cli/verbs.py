"""The verbs of `manage.py simulator`, after its parser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from django.core.management.base import CommandError, OutputWrapper

from simulator.campaign import Cut, Report, Task, run
from simulator.cli import batch, text
from simulator.cli.arguments import given, is_plain, name_of, refuse
from simulator.cli.bar import bar
from simulator.cli.interrupts import Interrupts
from simulator.mutants import MUTANTS
from simulator.observers import Observer
from simulator.options import FLAGS, OptionError, PlainTask, by_hand
from simulator.plain import PlainRun, Results
from simulator.shrinking import failure, shrink
from simulator.tracing import EventPrinter, Tracer
from simulator.violation import Interrupted

OWN_CLUSTER = "sets the cluster of a run by flags; a named world has its own"
CUT_FLAGS = ("without-faults", "without-calls", "without-liars", "stop-after")
NO_CUT = "is for a named world or a mutant's own; a run by flags has fewer -tickets, -nodes or -byzantine"

Ended = Report | Results


def quietly(_line: str) -> None:
    """Print nothing."""


class Verbs:
    """Plays what the flags define; prints on `stdout`."""

    def __init__(self, stdout: OutputWrapper) -> None:
        self.stdout = stdout

    def run(self, options: dict[str, Any]) -> None:
        """Dispatch; raises CommandError for a broken promise and for wrong flags."""
        self._interrupts = Interrupts()
        with self._interrupts.heard():
            getattr(self, "_" + options["verb"])(options)

    # --- verbs -----------------------------------------------------------------------------------

    def _run(self, options: dict[str, Any]) -> None:
        wanted = self._wanted(options)
        found = self._play(wanted, say=quietly if options["json"] else self._say)
        if isinstance(wanted, Task) and found.violation is not None and not options["json"]:
            with self._interrupts.during():
                self._say(failure(wanted))
        self._end(found, as_json=options["json"])

    def _wanted(self, options: dict[str, Any]) -> Task | PlainTask:
        """The task that the flags define; raise CommandError if they are invalid."""
        if not is_plain(options):
            refuse(given(options, FLAGS), OWN_CLUSTER)
            return task_of(options)
        refuse((flag for flag in CUT_FLAGS if options[name_of(flag)]), NO_CUT)
        fields = {FLAGS[flag]: options[name_of(flag)] for flag in given(options, FLAGS)}
        try:
            return PlainTask(by_hand({"seed": options["seed"], **fields}), options["mutant"])
        except OptionError as error:
            if error.field != "byzantine_nodes" or fields["byzantine_nodes"] < 0:
                raise CommandError(str(error), returncode=2) from error
            if not options["json"]:
                self._say(f"Error: {error}")  # the Go DTVN's own answer: on stdout, and 1 (C47)
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
        observers = []
        if not options["quiet"] and not options["json"]:
            observers.append(EventPrinter(self._say, since=options["from_ms"] * 1_000_000))
        if not options["trace"]:
            found = self._play(wanted, *observers)
        else:
            try:
                with open(options["trace"], "wb") as file:
                    tracer = Tracer(file.write)
                    found = self._play(wanted, *observers, tracer)
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
        tell = None if options["json"] else self._say
        with self._interrupts.during():
            summary = batch.mutants(options["only"] or list(MUTANTS), options["jobs"], tell)
        if options["json"]:
            self._json(summary)
        missed = [mutant["name"] for mutant in summary["mutants"] if not mutant["caught"]]
        caught = f"{summary['caught']} of {summary['total']} mutants were caught"
        if missed:
            raise CommandError(f"{caught}; not caught: {', '.join(missed)}")
        if not options["json"] and summary["ended"] == "interrupted":
            self._say(f"interrupted: {summary['caught']} mutants were caught so far, none was missed")
        elif not options["json"]:
            self._say(f"{caught} in {summary['seconds']} s")

    def _play(
        self, wanted: Task | PlainTask, *observers: Observer, say: Callable[[str], None] = quietly
    ) -> Ended:
        """Play the task; returns the result as far as it was played. `say`: gets a run by flags' lines."""
        try:
            if isinstance(wanted, PlainTask):
                return self._play_plain(wanted, observers, say)
            with self._interrupts.during():
                return run(wanted, *observers)
        except Interrupted as interrupted:
            return report_of(interrupted, wanted)

    def _play_plain(
        self, wanted: PlainTask, observers: tuple[Observer, ...], say: Callable[[str], None]
    ) -> Results:
        options = wanted.options
        one = PlainRun(
            options,
            lambda *numbers: say(text.progress(options.tickets, *numbers)),
            *observers,
            mutant=wanted.mutant,
        )
        with self._interrupts.during(lambda: end(one)):
            for line in text.banner(options, one.liars):
                say(line)
            return one.run()

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


def end(one: PlainRun) -> None:
    """End a run by flags: after the current event, or at once if no event follows."""
    if not one.stop():
        raise Interrupted


def report_of(interrupted: Interrupted, wanted: Task | PlainTask) -> Ended:
    """The findings of the interrupted run; empty if it was interrupted before it began."""
    if isinstance(interrupted.found, Report | Results):
        return interrupted.found
    if isinstance(wanted, PlainTask):
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
