"""Plays many runs in several processes: campaigns and mutants."""

from __future__ import annotations

import gc
import multiprocessing
import os
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

import msgspec

from dtvn.protocol.probes import PROBES
from simulator.campaign import Report, Task, run
from simulator.cli.interrupts import begin_worker, held_back
from simulator.mutant_hunt import Verdict, hunt
from simulator.mutants import NOT_PLANTED
from simulator.shrinking import failure
from simulator.violation import Interrupted

NANOSECONDS_PER_HOUR = 3_600_000_000_000
AHEAD = 4
"""Tasks submitted per process ahead of their reports, so that those of a long campaign do not pile up."""

SPARED = (1_000_000, 20, 50)
"""Thresholds of the collector: the objects of a world die with it, and looking for cycles in between finds
nothing. Only an exceptionally large world is collected while it is played."""

Tell = Callable[[str], None] | None
Given = TypeVar("Given")
Made = TypeVar("Made")


def campaign(
    tasks: Iterable[Task], jobs: int, tell: Tell, played: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Play all tasks; return the totals, if interrupted those of the seeds played so far. Violations are
    reported through `tell` as they come; `played` is called after each seed."""
    started = perf_counter()
    totals = _Totals()
    ended = "finished"
    try:
        with closing(_spread(_timed, tasks, jobs)) as reports:
            for report, seconds in reports:
                totals.add(report, seconds)
                played()
                if report.violation is not None and tell is not None:
                    tell(f"{report.violation}\n  {report.command}")
                    if report.checker != "exception":
                        tell(failure(Task(report.seed, report.world)))
    except Interrupted:
        ended = "interrupted"
    return {"ended": ended, **totals.summary(perf_counter() - started)}


def mutants(names: list[str], jobs: int, tell: Tell) -> dict[str, Any]:
    """Plant each of these mutants; return which checker caught each, and the command that shows it. Mutants
    not yet hunted when it is interrupted are left out."""
    started = perf_counter()
    found: list[Verdict] = []
    ended = "finished"
    try:
        with closing(_spread(_hunted, names, jobs)) as verdicts:
            for verdict in verdicts:
                found.append(verdict)
                if tell is not None:
                    by = f"{verdict.checker} at seed {verdict.seed}" if verdict.caught else "not caught"
                    tell(f"{verdict.rule:12} {verdict.name:44} {by}")
    except Interrupted:
        ended = "interrupted"
    return {
        "ended": ended,
        "mutants": [msgspec.to_builtins(verdict) for verdict in found],
        "total": len(found),
        "caught": sum(verdict.caught for verdict in found),
        "not_planted": NOT_PLANTED,
        "seconds": round(perf_counter() - started, 1),
    }


def _hunted(name: str) -> Verdict:
    verdict = hunt(name)
    gc.collect()
    return verdict


def _timed(task: Task) -> tuple[Report, float]:
    before = process_time()
    try:
        report = run(task)
    except Exception as error:  # noqa: BLE001 - a finding about one seed; the others go on
        report = Report(task.seed, task.world, 0, (), task.command, ended="violation", checker="exception")
        report.violation = _told(error)
    gc.collect()  # dead worlds are reference cycles of 20 MB: new memory costs as much as collecting
    return report, process_time() - before


def _told(error: Exception) -> str:
    """The simulator's own error, and its place; a run of the seed alone shows the whole traceback."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"not played to its end: {type(error).__name__}: {error} ({where})"


def _spread(work: Callable[[Given], Made], given: Iterable[Given], jobs: int) -> Generator[Made, None, None]:
    """Results in order, from `jobs` processes; one job stays in this process. If the caller closes the
    generator early or is interrupted, no process is left behind."""
    if jobs <= 1:
        with _spared():
            yield from map(work, given)
        return
    waiting = iter(given)
    with ProcessPoolExecutor(max_workers=jobs, initializer=_begin_worker, initargs=(os.getpid(),)) as pool:
        try:
            futures = []
            with held_back():
                futures += [pool.submit(work, item) for item in islice(waiting, AHEAD * jobs)]
            while futures:
                yield futures.pop(0).result()
                futures += [pool.submit(work, item) for item in islice(waiting, 1)]
        except Interrupted:
            whole = [future.result() for future in futures if future.done()]
            _end_workers()
            yield from whole
            raise
        except BaseException:
            _end_workers()
            raise


def _end_workers() -> None:
    for worker in multiprocessing.active_children():
        worker.kill()


def _begin_worker(parent: int) -> None:
    begin_worker(parent)
    gc.collect()
    gc.freeze()  # imported objects stay
    gc.set_threshold(*SPARED)


@contextmanager
def _spared() -> Iterator[None]:
    """Reduces garbage collection for a while, in a process that does other things too."""
    usual = gc.get_threshold()
    gc.set_threshold(*SPARED)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


SUMMED = ("events", "virtual_time", "committed", "outcomes", "executed", "view_changes")
"""Fields of a report that are added up."""


class _Totals:
    """Totals of a campaign."""

    def __init__(self) -> None:
        self._runs = 0
        self._seconds = 0.0
        self._sums = Counter[str](dict.fromkeys(SUMMED, 0))
        self._hits = Counter[str](dict.fromkeys(PROBES, 0))
        self._first: dict[str, int] = {}
        self._violations: list[dict[str, Any]] = []

    def add(self, report: Report, seconds: float) -> None:
        """Add one report, which took this many seconds of processor time."""
        self._runs += 1
        self._seconds += seconds
        self._sums.update({name: getattr(report, name) for name in SUMMED})
        self._hits.update(report.probes)
        self._first = dict.fromkeys(report.probes, report.seed) | self._first
        if report.violation is not None:
            self._violations.append(
                {
                    "seed": report.seed,
                    "checker": report.checker,
                    "text": report.violation,
                    "command": report.command,
                }
            )

    def summary(self, seconds: float) -> dict[str, Any]:
        """`events_per_second` is per core: events divided by the processor seconds of the runs."""
        sums = self._sums
        return {
            "runs": self._runs,
            "operations_committed": sums["committed"],
            "operations_acknowledged": sums["outcomes"],
            "sequences_executed": sums["executed"],
            "virtual_hours": round(sums["virtual_time"] / NANOSECONDS_PER_HOUR, 3),
            "events": sums["events"],
            "events_per_second": round(sums["events"] / self._seconds) if self._seconds else 0,
            "seconds": round(seconds, 1),
            "view_changes": sums["view_changes"],
            "probes_hit": sum(1 for hits in self._hits.values() if hits),
            "probes_total": len(self._hits),
            "probes": [
                {"name": name, "hits": hits, "first_seed": self._first.get(name)}
                for name, hits in self._hits.items()
            ],
            "violations": self._violations,
        }
