"""Measures the effect of a greedy client on a modest one (R30), with the hosts of `benchmarks.hosts`.

`python -m benchmarks.fairness [seconds]` prints the p99 of a caller with four open calls beside one with
sixteen, and beside one with ten times as many. With a fixed price for each turn, nothing is measured and the
result is the same on all machines (tests/node/test_fairness.py).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

from benchmarks.hosts import SECOND, Call, Caller, Price, World, quiet_folder
from dtvn.machine import Issue

OUTSIDE = Price(250_000, 8_000, measured=True)
"""Cost of turns and frames in a real node beyond its host: a lone operation takes 3 ms more there
(docs/understand/performance.md)."""
GREEDY = "node0"
"""The node with whose API key the greedy caller signs."""


def modest(world: World) -> Caller:
    """Add a caller with one session and four open calls."""
    return world.joins(Caller(world, world.folder.gateway_key, _issues("modest"), calls=4))


def _issues(prefix: str) -> Iterator[Call]:
    """Calls of one new ticket each, without end."""
    return ([(Issue(), f"{prefix}-{number}", b"")] for number in itertools.count())


def measure(world: World, caller: Caller, sessions: int, seconds: float) -> float:
    """p99 in milliseconds of the modest caller beside one with `sessions` sessions of sixteen open calls,
    each in a bundle of its own; prints the rates too."""
    limits = {"bundle_operations_max": 1, "in_flight_max": 16}
    key, work = world.folder.node(GREEDY).api_key, _issues(f"greedy-{world.time}")
    other = world.joins(Caller(world, key, work, sessions=sessions, calls=16, **limits))
    world.go(2 * SECOND)
    first, others = len(caller.times), len(other.times)
    world.go(int(seconds * SECOND))
    times = sorted(caller.times[first:])
    p99 = times[int(len(times) * 0.99)] / 1e6
    print(
        f"beside {16 * sessions:3} calls: p50 {times[len(times) // 2] / 1e6:.1f} ms, p99 {p99:.1f} ms, "
        f"{len(times) / seconds:.0f} operations a second and {(len(other.times) - others) / seconds:.0f}"
    )
    world.leaves(other)
    return p99


def main(seconds: float) -> None:
    """Measure beside one and ten sessions, twice, and print the ratios."""
    with quiet_folder() as folder:
        world = World(folder / "cluster", OUTSIDE)
        caller = modest(world)
        for _ in range(2):
            share, ten_times = (measure(world, caller, sessions, seconds) for sessions in (1, 10))
            print(f"{ten_times / share:.1f} times")
        world.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
