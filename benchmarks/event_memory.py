"""Memory of four real nodes, and of the gateway in this process, while agent events are judged: over 200,000
events of one run, then over 20,000 runs, each by majority, and by pbft with records in the log.

Growth is counted once what is bounded is full: a member's cache of STATES_MAX rule states takes more runs
than that, as majority asks three of four. The log keeps a row of each recorded run, up to
dtvn.machine.runs.RUNS_MAX of them: nodes grow by these.

    python -m benchmarks.event_memory [EVENTS] [RUNS]
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.cluster import Processes, running_cluster
from benchmarks.cost import memory_mb
from benchmarks.event_runs import MEMBERS, WAIT, own_conversation
from dtvn.events.asking.known_states import STATES_MAX
from dtvn.events.config import Algorithm
from dtvn.events.judging import CHUNK_EVENTS_MAX, Verdict
from dtvn.gateway import Gateway, Judged

EVENTS, RUNS = 200_000, 20_000
AT_ONCE = 100
"""Live runs at a time."""
PER_RUN = 5
"""Events of each run, which ends within a message."""
EVENTS_BEFORE, RUNS_BEFORE = 20_000, STATES_MAX * 3 // 2
"""They fill what is bounded."""


def events_of_one_run(gateway: Gateway, algorithm: Algorithm) -> Iterator[int]:
    """Number of events with each chunk of one endless run, whose states never come twice."""
    run = gateway.events.begin("thread", f"{algorithm}-endless", algorithm=algorithm)
    texts = itertools.chain.from_iterable(own_conversation(f"{number}-") for number in itertools.count())
    try:
        while True:
            _check(run.judge(list(itertools.islice(texts, CHUNK_EVENTS_MAX)), wait=WAIT).result(WAIT))
            yield CHUNK_EVENTS_MAX
    finally:
        run.end().result(WAIT)


def many_runs(gateway: Gateway, algorithm: Algorithm) -> Iterator[int]:
    """AT_ONCE with each group of that many runs, of threads of their own."""
    for group in itertools.count():
        names = [f"{algorithm}-{group}-{number}-" for number in range(AT_ONCE)]
        runs = [gateway.events.begin(name, name, algorithm=algorithm) for name in names]
        judged = [
            run.judge(own_conversation(name, PER_RUN), wait=WAIT)
            for run, name in zip(runs, names, strict=True)
        ]
        for each in judged:
            _check(each.result(WAIT))
        for ended in [run.end() for run in runs]:
            if ended.result(WAIT).code not in ("", "ok"):
                raise RuntimeError(f"not recorded: {ended.result()}")
        yield AT_ONCE


def _check(judged: Judged) -> None:
    if judged.verdict is not Verdict.VALID or not judged.certified:
        raise RuntimeError(f"not judged valid: {judged.pieces}")


def measure(processes: Processes, parts: Iterator[int], first: int, total: int) -> dict[str, Any]:
    """MB of gateway and nodes after the `first` ones, and what they grew by in the next `total`."""
    done = 0
    while done < first:
        done += next(parts)
    before, began, done = _memory(processes), time.monotonic(), 0
    while done < total:
        done += next(parts)
    after = _memory(processes)
    parts.close()  # type: ignore[attr-defined]
    return {
        "count": done,
        "gateway_mb": round(before["gateway"], 1),
        "gateway_growth_mb": round(after["gateway"] - before["gateway"], 1),
        "node_mb": round(max(before[name] for name in processes.names), 1),
        "node_growth_mb": round(max(after[name] - before[name] for name in processes.names), 1),
        "a_second": round(done / (time.monotonic() - began)),
    }


def _memory(processes: Processes) -> dict[str, float]:
    gc.collect()
    found = {
        processes.name(index): memory_mb([processes.pid(processes.name(index))]) for index in range(MEMBERS)
    }
    return found | {"gateway": memory_mb([os.getpid()])}


def main(events: int = EVENTS, runs: int = RUNS) -> dict[str, Any]:
    """Measure and print."""
    found: dict[str, Any] = {}
    cases = (
        ("events", events_of_one_run, EVENTS_BEFORE, events),
        ("runs", many_runs, RUNS_BEFORE, runs),
    )
    with running_cluster(MEMBERS, learners=0) as (processes, gateway):
        for name, drive, first, total in cases:
            for algorithm in (Algorithm.MAJORITY, Algorithm.PBFT):
                parts = drive(gateway, algorithm)
                result = found[f"{name} {algorithm.value}"] = measure(processes, parts, first, total)
                print(f"{name} {algorithm.value}: {result}", flush=True)
    return found


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS,
        int(sys.argv[2]) if len(sys.argv) > 2 else RUNS,
    )
