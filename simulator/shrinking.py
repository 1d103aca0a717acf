"""Reduces a failing run: faults, calls and liars are left out while it still fails.

Delta debugging (Zeller & Hildebrandt, 2002) in its simple form: halves first, then quarters, down to single
ones. Each fault and call draws from a random stream of its own, so leaving one out changes no other. A run by
flags has no numbered faults and calls: its flags are reduced, and each try is a different world, which counts
if the same checker complains there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from dtvn.protocol.quorum import MEMBERS_MAX, Mode, faults
from simulator.campaign import Cut, Report, Task, run
from simulator.clock import MILLISECOND
from simulator.options import Options, PlainTask
from simulator.plain import PlainRun, Results
from simulator.violation import Interrupted
from simulator.worlds import world_of

RUNS_MAX = 200
"""Most runs that are tried: a seed takes about a second."""
RUNS_AT_ONCE = 40
"""Most of them for a run that failed by itself, whose story is told at once."""

Tell = Callable[[str], None]
Wanted = TypeVar("Wanted", Task, PlainTask)
Found = TypeVar("Found", Report, Results)


def shrink(
    wanted: Task | PlainTask, tell: Tell | None = None, *, runs_max: int = RUNS_MAX
) -> Report | Results | None:
    """The smallest failing run that was found; None if the given run does not fail. A run fails in the same
    way if the same checker complains, with any sentence. An interrupt before the first run is over is
    raised; a later one ends the search with the result so far, and `ended` reports it."""
    told = tell or (lambda _line: None)
    if isinstance(wanted, PlainTask):
        return _PlainShrinker(wanted, _played, told, runs_max).find()
    return _SeedShrinker(wanted, run, told, runs_max).find()


def failure(task: Task) -> str:
    """The violation of a seed that fails, the command of its least run that was soon found, and its story."""
    least = shrink(task, runs_max=RUNS_AT_ONCE)
    if not isinstance(least, Report):
        return "it does not fail again"
    if least.ended == "interrupted":
        raise Interrupted(least)
    told = str(least.violation), f"replay: {task.command}", f"least: {least.command}", *least.story
    return "\n".join(told)


def _played(wanted: PlainTask) -> Results:
    results = PlainRun(wanted.options, lambda *_numbers: None, mutant=wanted.mutant).run()
    if results.ended == "interrupted":
        raise Interrupted(results)
    return results


class _Shrinker(Generic[Wanted, Found]):
    def __init__(self, wanted: Wanted, play: Callable[[Wanted], Found], tell: Tell, runs_max: int) -> None:
        self._runs_max = runs_max
        self._wanted: Wanted = wanted
        self._play: Callable[[Wanted], Found] = play
        self._tell = tell
        self._runs = 0
        self._checker: str | None = None
        self._best: Found | None = None

    def find(self) -> Found | None:
        """See shrink."""
        first = self._play(self._wanted)
        if first.violation is None:
            return None
        self._best, self._checker = first, first.checker
        try:
            self._lessen(first)
        except Interrupted:
            self._best.ended = "interrupted"
        return self._best

    def _lessen(self, first: Found) -> None:
        raise NotImplementedError

    def _try(self, wanted: Wanted) -> bool:
        """Whether it fails as before; if so, it replaces the smallest run."""
        if self._runs >= self._runs_max:
            return False
        self._runs += 1
        found = self._play(wanted)
        if found.checker != self._checker:
            return False
        self._wanted, self._best = wanted, found
        return True


class _SeedShrinker(_Shrinker[Task, Report]):
    """Shrinks a seed of a named world."""

    def _lessen(self, first: Report) -> None:
        task = self._wanted
        drawn = world_of(task.world, task.seed)
        self._tell(f"{first.violation}: {first.faults} faults, {first.calls} calls")
        if task.cut.duration == 0 and first.virtual_time < drawn.duration:
            self._try_cut(msgspec.structs.replace(task.cut, duration=first.virtual_time + MILLISECOND))
        self._thin("liars", len(drawn.adversaries))
        self._thin("faults", first.faults)
        self._thin("calls", first.calls)
        self._thin("faults", first.faults)

    def _try_cut(self, cut: Cut) -> bool:
        return self._try(msgspec.structs.replace(self._wanted, cut=cut))

    def _thin(self, what: str, count: int) -> None:
        kept = [number for number in range(count) if number not in getattr(self._wanted.cut, what)]
        size = len(kept)
        while size:
            place = 0
            while place < len(kept):
                without = kept[place : place + size]
                left_out = getattr(self._wanted.cut, what) | frozenset(without)
                if self._try_cut(msgspec.structs.replace(self._wanted.cut, **{what: left_out})):
                    del kept[place : place + size]
                else:
                    place += size
            size = size // 2
        self._tell(f"{len(kept)} {what} are needed ({self._runs} runs)")


class _PlainShrinker(_Shrinker[PlainTask, Results]):
    """Shrinks a run by flags."""

    def _lessen(self, first: Results) -> None:
        options = self._options
        self._tell(f"{first.violation}: {options.nodes} nodes, {options.tickets} tickets")
        self._without("enable_partitions", False)
        self._without("crash_rate", 0.0)
        self._without("packet_loss_rate", 0.0)
        self._lower("byzantine_nodes", 0)
        if not self._options.byzantine_nodes:
            self._without("adversary", "")  # no liar is left
        liars = self._options.byzantine_nodes
        self._lower("nodes", next(n for n in range(1, MEMBERS_MAX + 1) if faults(n, Mode.PBFT) >= liars))
        self._lower("tickets", 1)

    @property
    def _options(self) -> Options:
        """Options of the smallest failing run so far."""
        options: Options = self._wanted.options
        return options

    def _try_with(self, field: str, value: Any) -> bool:
        options = msgspec.structs.replace(self._options, **{field: value})
        return self._try(msgspec.structs.replace(self._wanted, options=options))

    def _without(self, field: str, none: Any) -> None:
        if getattr(self._options, field) != none:
            self._try_with(field, none)

    def _lower(self, field: str, least: int) -> None:
        """Lower the field by as much as possible, then by half of that, down to one."""
        step = getattr(self._options, field) - least
        while step:
            less = getattr(self._options, field) - step
            if less < least or not self._try_with(field, less):
                step //= 2
        what = {"byzantine_nodes": "liars"}.get(field, field)
        self._tell(f"{getattr(self._options, field)} {what} are needed ({self._runs} runs)")
