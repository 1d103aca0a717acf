"""Agent events judged by four real nodes: processor time of all processes an event, in checks (one Ed25519
verification in the same run); rates and the time until a verdict.

1,000 runs, each with a thread, ids and a rule state of its own, that offer 20 events a second each, in chunks
of one event. The loop is closed: a run's next event waits for its last verdict, so what the cluster takes is
printed beside what is offered. Then one run as fast as it comes, in chunks of 256. Each by majority, and by
pbft with records in the log. What nodes use at rest counts too.

    python -m benchmarks.event_runs [SECONDS] [RUNS]
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from benchmarks.cluster import Processes, running_cluster
from benchmarks.cost import check_seconds, processor_seconds
from benchmarks.events import conversation
from dtvn.events.config import Algorithm
from dtvn.events.judging import CHUNK_EVENTS_MAX, Verdict
from dtvn.gateway import EventRun, Gateway, Judged

MEMBERS = 4
CONVERSATION = conversation()
RUNS = 1_000
PERIOD = 0.05
"""Seconds between two events of a run."""
TARGETS = {
    ("many", Algorithm.MAJORITY): 10.0,
    ("many", Algorithm.PBFT): 20.0,
    ("one", Algorithm.MAJORITY): 1.0,
    ("one", Algorithm.PBFT): 1.0,
}
"""Checks an event. Of many runs 2 were wanted, after a sketch of votes alone (benchmarks.votes, 1.5); the
page on performance corrects that."""
WAIT = 30.0
WARM = 0.25
"""Share of the time before anything counts."""


class Seen:
    """What came back."""

    def __init__(self) -> None:
        self.events = 0
        self.seconds: list[float] = []
        """From the call to the verdict, each."""

    def note(self, seconds: float, judged: Judged) -> None:
        """A verdict came; raises RuntimeError unless it is the right one."""
        if judged.verdict is not Verdict.VALID or not judged.certified:
            raise RuntimeError(f"not judged valid: {judged.pieces}")
        self.events += len(judged.salts)
        self.seconds.append(seconds)


Drive = Callable[[Gateway, Algorithm, int, Seen], Iterator[None]]
"""Goes on a little with each step, and ends its runs when it is closed."""
Arrived = SimpleQueue[tuple[int, float, Future[Judged]]]
"""Run, seconds from the call to the verdict, verdict."""


def many(gateway: Gateway, algorithm: Algorithm, runs: int, seen: Seen) -> Iterator[None]:
    """Runs in chunks of one event; a step takes PERIOD."""
    names = [f"{algorithm}-{number}-" for number in range(runs)]
    opened = [gateway.events.begin(f"thread-{name}", f"run-{name}", algorithm=algorithm) for name in names]
    texts = [itertools.cycle(own_conversation(name)) for name in names]
    arrived: Arrived = SimpleQueue()
    free = list(range(runs))
    try:
        while True:
            due = time.monotonic() + PERIOD
            for number in free:
                _send(opened[number], next(texts[number]), number, arrived)
            free = []
            time.sleep(max(0.0, due - time.monotonic()))
            while not arrived.empty():
                free.append(_take(arrived, seen))
            yield
    finally:
        for _ in range(runs - len(free)):
            _take(arrived, seen)
        _end(opened)


def _send(run: EventRun, text: bytes, number: int, arrived: Arrived) -> None:
    begun = time.perf_counter()
    future = run.judge([text], wait=WAIT)
    future.add_done_callback(lambda done: arrived.put((number, time.perf_counter() - begun, done)))


def _take(arrived: Arrived, seen: Seen) -> int:
    """Note the next verdict; returns the run that it belongs to."""
    number, seconds, done = arrived.get(timeout=WAIT)
    seen.note(seconds, done.result())
    return number


def _end(opened: Sequence[EventRun]) -> None:
    """End the runs; raises RuntimeError if one is not recorded whole."""
    ends = [ended.result(WAIT) for ended in [run.end() for run in opened]]
    if any(end.code not in ("", "ok") for end in ends):
        raise RuntimeError(f"not recorded: {sorted({end.code for end in ends})}")


def one(gateway: Gateway, algorithm: Algorithm, _runs: int, seen: Seen) -> Iterator[None]:
    """One run; a step is a chunk."""
    run = gateway.events.begin("thread", f"{algorithm}-fast", algorithm=algorithm)
    texts = itertools.cycle(CONVERSATION)
    try:
        while True:
            begun = time.perf_counter()
            judged = run.judge(list(itertools.islice(texts, CHUNK_EVENTS_MAX)), wait=WAIT).result(WAIT)
            seen.note(time.perf_counter() - begun, judged)
            yield
    finally:
        _end([run])


def own_conversation(name: str, events: int | None = None) -> list[bytes]:
    """The conversation, or its first events, with ids of its own: runs of real agents share no states."""
    return [text.replace(b'Id":"', b'Id":"' + name.encode()) for text in CONVERSATION[:events]]


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
                if drive is many:
                    result["offered_a_second"] = round(runs / PERIOD)
                found[f"{name} {algorithm.value}"] = result
                print(f"{name} {algorithm.value} (target {TARGETS[name, algorithm]:g}): {result}", flush=True)
    return found


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 8.0,
        int(sys.argv[2]) if len(sys.argv) > 2 else RUNS,
    )
