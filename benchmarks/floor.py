"""The limits of this machine, measured with all cores busy: no design on this machine can do better.

One run measures three rates: Ed25519 verifications on all cores, durable appends (fdatasync) while the other
cores verify, and one replica's `apply` with ticket rows. Verifications and applies are counted by processor
time: what the cores would do for nobody else. Benchmarks report ratios to these rates.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nacl import bindings

MESSAGE = b"m" * 200
SECONDS = 2.0
TICKETS = 20_000
"""Number of tickets of one `apply`; few, since each core creates its own."""


def measure(folder: Path | None = None) -> dict[str, float]:
    """verifications_per_second (all cores), fsync_p50_ms and fsync_p99_ms (other cores busy), cores, and
    applies_per_second: admissions executed, hashed and stored as rows, on all cores."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        verify = _together(context, [(_verifications, ())] * cores)
        mixed = _together(
            context, [(_fsyncs, (Path(scratch) / "log",)), *[(_verifications, ())] * max(1, cores - 1)]
        )
        applied = _together(context, [(_applies, (Path(scratch) / str(core),)) for core in range(cores)])
    fsyncs = mixed[0]
    return {
        "cores": float(cores),
        "verifications_per_second": sum(verify),
        "fsync_p50_ms": fsyncs[0],
        "fsync_p99_ms": fsyncs[1],
        "applies_per_second": sum(applied),
    }


def _together(context: Any, jobs: list[tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[Any]:
    """Run all jobs at the same time, one process each; return their results in order."""
    barrier = context.Barrier(len(jobs))
    results = context.SimpleQueue()
    processes = [
        context.Process(target=_job, args=(number, job, arguments, barrier, results))
        for number, (job, arguments) in enumerate(jobs)
    ]
    for process in processes:
        process.start()
    collected = dict(results.get() for _ in processes)
    for process in processes:
        process.join()
    return [collected[number] for number in range(len(jobs))]


def _job(
    number: int, job: Callable[..., Any], arguments: tuple[Any, ...], barrier: Any, results: Any
) -> None:
    barrier.wait()
    results.put((number, job(*arguments)))


def _verifications() -> float:
    public, secret = bindings.crypto_sign_keypair()
    signed = bindings.crypto_sign(MESSAGE, secret)
    done = 0
    start = time.process_time()
    while (spent := time.process_time() - start) < SECONDS:
        for _ in range(100):
            bindings.crypto_sign_open(signed, public)
        done += 100
    return done / spent


def _fsyncs(path: Path) -> tuple[float, float]:
    times = []
    start = time.perf_counter()
    with path.open("wb", buffering=0) as log:
        while time.perf_counter() - start < SECONDS:
            log.write(os.urandom(300))
            before = time.perf_counter()
            os.fdatasync(log.fileno())
            times.append((time.perf_counter() - before) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def _applies(folder: Path) -> float:
    """Admissions per second of one replica without a network: its application and its ledger's rows."""
    from benchmarks import apply
    from dtvn.ledger import Location
    from validators.ledger import open_ledger

    folder.mkdir()
    ledger = open_ledger(Location(folder=folder), cluster_id=bytes(32), alias=f"floor-{folder.name}")
    try:
        ledger.load()
        return apply.measure(TICKETS, ledger.materialise)["apply_with_rows_per_second"]
    finally:
        ledger.close()


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:28} {value:12.3f}")
