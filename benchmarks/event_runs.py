"""Agent events judged by four real nodes: processor time of all processes an event, in checks (one Ed25519
verification in the same run); rates and the time until a verdict.

1,000 runs that emit 20 events a second each, in chunks of one event, as far as this machine keeps up: a run's
next event waits for its last verdict. Then one run as fast as it comes, in chunks of 256. Each by majority,
and by pbft with records in the log.

    python -m benchmarks.event_runs [SECONDS] [RUNS]
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

from benchmarks.cluster import Processes, running_cluster
from benchmarks.cost import check_seconds, processor_seconds
from benchmarks.events import conversation
from dtvn.events.config import Algorithm
from dtvn.events.judging import CHUNK_EVENTS_MAX, Verdict
from dtvn.gateway import EventRun, Gateway, Judged

MEMBERS = 4
RUNS = 1_000
PERIOD = 0.05
"""Seconds between two events of a run."""
TARGETS = {
    ("many", Algorithm.MAJORITY): 10.0,
    ("many", Algorithm.PBFT): 15.0,
    ("one", Algorithm.MAJORITY): 1.0,
    ("one", Algorithm.PBFT): 1.0,
}
"""Checks an event. Issue 14 wanted 2 of many runs, after a sketch of votes alone (benchmarks.votes, 1.5); the
page on performance says what these numbers are made of."""
WAIT = 30.0
WARM = 0.25
"""Share of the time before anything counts."""


class Seen:
    """What came back."""

    def __init__(self) -> None:
        self.events = 0
        self.seconds: list[float] = []
        """From the call to the verdict, each."""

    def note(self, begun: float, judged: Judged) -> None:
        """A verdict came; raises RuntimeError unless it is the right one."""
        if judged.verdict is not Verdict.VALID or not judged.certified:
            raise RuntimeError(f"not judged valid: {judged.pieces}")
        self.events += len(judged.salts)
        self.seconds.append(time.perf_counter() - begun)

    def done(self, begun: float, judged: Future[Judged]) -> None:
        """The same for a future."""
        self.note(begun, judged.result())


Drive = Callable[[Gateway, Algorithm, int, Seen], Iterator[None]]
"""Goes on a little with each step, and ends its runs when it is closed."""


def many(gateway: Gateway, algorithm: Algorithm, runs: int, seen: Seen) -> Iterator[None]:
    """Runs in chunks of one event; a step takes PERIOD."""
    opened = [
        gateway.events.begin(f"thread-{i}", f"{algorithm}-{i}", algorithm=algorithm) for i in range(runs)
    ]
    texts = [itertools.cycle(conversation()) for _ in opened]
    waiting: list[tuple[float, Future[Judged]] | None] = [None] * runs
    try:
        while True:
            due = time.monotonic() + PERIOD
            for number, run in enumerate(opened):
                pending = waiting[number]
                if pending is not None and not pending[1].done():
                    continue
                waiting[number] = begun = _judge(run, [next(texts[number])])
                begun[1].add_done_callback(partial(seen.done, begun[0]))
            time.sleep(max(0.0, due - time.monotonic()))
            yield
    finally:
        for pending in waiting:
            if pending is not None:
                pending[1].result(WAIT)
        for ended in [run.end() for run in opened]:
            ended.result(WAIT)


def one(gateway: Gateway, algorithm: Algorithm, _runs: int, seen: Seen) -> Iterator[None]:
    """One run; a step is a chunk."""
    run = gateway.events.begin("thread", f"{algorithm}-fast", algorithm=algorithm)
    texts = itertools.cycle(conversation())
    try:
        while True:
            begun, future = _judge(run, list(itertools.islice(texts, CHUNK_EVENTS_MAX)))
            seen.note(begun, future.result(WAIT))
            yield
    finally:
        run.end().result(WAIT)


def _own(name: str) -> list[bytes]:
    """The conversation with ids of this run's own: runs of real agents share no states."""
    return [text.replace(b'Id":"', b'Id":"' + name.encode()) for text in conversation()]


def _judge(run: EventRun, texts: list[bytes]) -> tuple[float, Future[Judged]]:
    return time.perf_counter(), run.judge(texts, wait=WAIT)


def measure(
    processes: Processes, gateway: Gateway, drive: Drive, algorithm: Algorithm, seconds: float, runs: int
) -> dict[str, Any]:
    """checks an event, in all and of gateway and a node; events a second; p50 and p99 in ms."""
    check = check_seconds()
    seen = Seen()
    steps = drive(gateway, algorithm, runs, seen)
    _for(steps, seconds * WARM)
    before, from_event, from_call = _used(processes), seen.events, len(seen.seconds)
    began = time.monotonic()
    _for(steps, seconds)
    took, events = time.monotonic() - began, seen.events - from_event
    after = _used(processes)
    steps.close()  # type: ignore[attr-defined]
    used = [(after[name] - before[name]) / events for name in before]
    check = (check + check_seconds()) / 2
    times = sorted(seen.seconds[from_call:])
    return {
        "checks_an_event": round(sum(used) / check, 2),
        "gateway_checks": round(used[-1] / check, 2),
        "node_checks": round(statistics.mean(used[:-1]) / check, 2),
        "events_a_second": round(events / took),
        "p50_ms": round(times[len(times) // 2] * 1e3, 1),
        "p99_ms": round(times[len(times) * 99 // 100] * 1e3, 1),
        "check_us": round(check * 1e6, 1),
    }


def _for(steps: Iterator[None], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        next(steps)


def _used(processes: Processes) -> dict[str, float]:
    """Processor seconds of each node, and last of this process."""
    names = [processes.name(index) for index in range(MEMBERS)]
    used = {name: processor_seconds([processes.pid(name)]) for name in names}
    return used | {"gateway": time.process_time()}


def main(seconds: float = 8.0, runs: int = RUNS) -> dict[str, Any]:
    """Measure and print."""
    found: dict[str, dict[str, Any]] = {}
    with running_cluster(MEMBERS, learners=0) as (processes, gateway):
        for name, drive in (("many", many), ("one", one)):
            for algorithm in (Algorithm.MAJORITY, Algorithm.PBFT):
                result = measure(processes, gateway, drive, algorithm, seconds, runs)
                found[f"{name} {algorithm.value}"] = result
                print(f"{name} {algorithm.value} (target {TARGETS[name, algorithm]:g}): {result}")
    return found


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 8.0,
        int(sys.argv[2]) if len(sys.argv) > 2 else RUNS,
    )
