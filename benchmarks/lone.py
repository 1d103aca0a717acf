"""Measures what each process and thread of a real cluster spends on one operation, by the kernel's counters.

It uses processor time, since latencies mean little on a busy machine. `waits` and `put off` are the thread's
voluntary and involuntary context switches; `ready` is the time for which it was runnable while another thread
had the processor.

`python -m benchmarks.lone [operations] [chunks] [clients] [members] [pbft|raft]` prints medians of the chunks
per operation: of one client that waits for each outcome (the default), or of `clients` at once, with each
operation signed by itself. The clients run in the gateway's process, and their work is counted with it. Linux
only.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
from pathlib import Path

from benchmarks import load
from benchmarks.cluster import gateway, running_cluster
from dtvn.protocol.quorum import Mode

BUNDLE = 100
WARM = 20
"""Number of operations before the first chunk."""
LEAST = 5.0
"""Microseconds below which a thread gets no line in the output."""

Spent = tuple[float, float, float, float]
"""Microseconds on a processor, microseconds ready for one, voluntary switches, involuntary switches."""


def spent(pid: int) -> dict[str, Spent]:
    """CPU time that each thread of a process has used, by the thread's name and offset from the main
    thread."""
    found: dict[str, Spent] = {}
    for thread in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda each: int(each.name)):
        try:
            used, ready, _slices = (thread / "schedstat").read_text().split()
            status = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
        except OSError:
            continue  # the thread has just ended
        name = "main" if int(thread.name) == pid else f"{status['Name'].strip()} +{int(thread.name) - pid}"
        switches = (int(status[f"{kind}_ctxt_switches"]) for kind in ("voluntary", "nonvoluntary"))
        found[name] = (int(used) / 1e3, int(ready) / 1e3, *switches)
    return found


def _measure(
    operations: int, chunks: int, clients: int, members: int, consensus: Mode
) -> tuple[list[load.Rates], dict[tuple[str, str], list[Spent]]]:
    """Rates of each chunk; by process and thread, the cost of each chunk per operation."""
    rates: list[load.Rates] = []
    costs: dict[tuple[str, str], list[Spent]] = {}
    with (
        running_cluster(members, consensus=consensus) as (processes, first),
        gateway(processes.folder, bundle_operations_max=1, in_flight_max=clients) as single,
    ):
        tickets = load.names("L", WARM + operations * chunks)
        load.drive(first, load.chunks(load.issues(tickets), BUNDLE), outstanding=4)
        load.lone(single, load.admits(tickets[:WARM]))
        pids = {processes.name(index): processes.pid(processes.name(index)) for index in range(members)}
        pids |= {"learner": processes.pid(""), "gateway": os.getpid()}
        for chunk in load.chunks(tickets[WARM:], operations):
            calls = load.chunks(load.admits(chunk), 1)
            before = {name: spent(pid) for name, pid in pids.items()}
            rates.append(load.drive(single, calls, outstanding=clients))
            for name, pid in pids.items():
                for thread, now in spent(pid).items():
                    then = before[name].get(thread, (0.0,) * len(now))
                    cost = tuple((late - early) / operations for late, early in zip(now, then, strict=True))
                    costs.setdefault((name, thread), []).append(cost)  # type: ignore[arg-type]
    return rates, costs


def main(operations: int, chunks: int, clients: int, members: int, consensus: Mode) -> None:
    """Run a cluster and print."""
    logging.disable(logging.WARNING)
    rates, costs = _measure(operations, chunks, clients, members, consensus)
    print(f"p50 of each chunk, ms: {'  '.join(f'{each.p50_ms:.2f}' for each in rates)}")
    print(f"operations a second: {'  '.join(f'{each.operations_per_second:.0f}' for each in rates)}")
    print(f"{'process':10} {'thread':24} {'us':>8} {'ready us':>9} {'waits':>7} {'put off':>8}")
    total = 0.0
    for (process, thread), rows in costs.items():
        used, ready, wanted, unwanted = (statistics.median(column) for column in zip(*rows, strict=True))
        total += used
        if used >= LEAST:
            print(f"{process:10} {thread:24} {used:8.0f} {ready:9.0f} {wanted:7.1f} {unwanted:8.1f}")
    print(f"all threads: {total:.0f} us of processor time an operation")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 60,
        int(sys.argv[2]) if len(sys.argv) > 2 else 5,
        int(sys.argv[3]) if len(sys.argv) > 3 else 1,
        int(sys.argv[4]) if len(sys.argv) > 4 else 4,
        Mode(sys.argv[5]) if len(sys.argv) > 5 else Mode.PBFT,
    )
