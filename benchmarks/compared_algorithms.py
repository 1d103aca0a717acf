"""The same run of an agent under all four algorithms, by real nodes: what each costs.

A lone run of one conversation is judged in one call, and ended, ROUNDS times under each algorithm in turn, in
clusters of PBFT and of Raft one after the other. Printed: milliseconds until the verdict and until the end,
which waits for the log where the algorithm records; processor time of all processes a run, in checks (one
Ed25519 verification in the same run). Then the leader is killed: seconds until another run is recorded.

    python -m benchmarks.compared_algorithms [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from benchmarks.cluster import PATIENCE, Processes, running_cluster
from benchmarks.cost import check_seconds, processor_seconds
from benchmarks.event_runs import own_conversation
from dtvn.events.config import Algorithm
from dtvn.events.judging import Verdict
from dtvn.gateway import Gateway
from dtvn.protocol.quorum import Mode
from dtvn.waiting import look_until

CLUSTERS = ((Mode.PBFT, 4), (Mode.RAFT, 3), (Mode.RAFT, 5))
ROUNDS = 200
EVENTS = 20
WAIT = 20.0
WARM = 10
"""Rounds before anything counts."""


def judge(gateway: Gateway, algorithm: Algorithm, name: str) -> tuple[float, float]:
    """Seconds until the verdict on a run, and until its end; raises RuntimeError unless both are right."""
    texts = own_conversation(name, EVENTS)
    begun = time.perf_counter()
    run = gateway.events.begin(f"thread-{name}", f"run-{name}", algorithm=algorithm)
    judged = run.judge(texts, wait=WAIT).result(WAIT)
    verdict = time.perf_counter()
    ended = run.end(wait=WAIT).result(2 * WAIT)
    if judged.verdict is not Verdict.VALID or not judged.certified or ended.code not in ("", "ok"):
        raise RuntimeError(f"{name}: {judged.verdict}, {ended.code}")
    return verdict - begun, time.perf_counter() - begun


def measure(processes: Processes, gateway: Gateway, rounds: int) -> dict[str, dict[str, Any]]:
    """Algorithm -> its figures in this cluster."""
    names = gateway.events.offered()
    times: dict[Algorithm, list[tuple[float, float]]] = {name: [] for name in names}
    used = dict.fromkeys(names, 0.0)
    check = check_seconds()
    for number in range(-WARM, rounds):
        first = number % len(names)  # what follows a rest or a record is slower
        for name in names[first:] + names[:first]:
            before = _used(processes)
            took = judge(gateway, name, f"{name}-{number}-")
            if number >= 0:
                times[name].append(took)
                used[name] += _used(processes) - before
    check = (check + check_seconds()) / 2
    return {
        name.value: {
            "needed": gateway.events.rule(name).needed,
            "verdict_ms": _middle([verdict for verdict, _end in times[name]]),
            "end_ms": _middle([end for _verdict, end in times[name]]),
            "checks": round(used[name] / rounds / check),
        }
        for name in names
    }


def after_death(processes: Processes, gateway: Gateway) -> float:
    """Seconds from the death of the log's leader until another run is recorded."""
    leader = next(view.index for view in gateway.members() if view.primary)
    processes.kill(leader)
    begun, attempts = time.monotonic(), iter(range(1_000_000))

    def recorded() -> bool:
        number = next(attempts)
        run = gateway.events.begin("thread", f"after-{number}")
        run.judge(own_conversation(f"after-{number}-", EVENTS), wait=WAIT).result(WAIT)
        return run.end(wait=WAIT).result(2 * WAIT).code == "ok"

    if not look_until(recorded, PATIENCE, pause=0.0):
        raise RuntimeError("nothing is recorded after the leader's death")
    return time.monotonic() - begun


def _used(processes: Processes) -> float:
    return processor_seconds([processes.pid(name) for name in processes.names]) + time.process_time()


def _middle(seconds: list[float]) -> float:
    return round(statistics.median(seconds) * 1e3, 1)


def main(rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure and print."""
    found: dict[str, Any] = {}
    for mode, members in CLUSTERS:
        with running_cluster(members, learners=0, consensus=mode) as (processes, gateway):
            for name, figures in measure(processes, gateway, rounds).items():
                found[f"{mode.value} of {members}, {name}"] = figures
                print(f"{mode.value} of {members}, {name}: {figures}", flush=True)
            seconds = round(after_death(processes, gateway), 1)
            found[f"{mode.value} of {members}, leader killed"] = seconds
            print(f"{mode.value} of {members}, leader killed: recorded again after {seconds} s", flush=True)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
