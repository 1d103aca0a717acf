"""`manage.py bench --only followers`: what followers cost the members, beside members without any.

64 followers without pages, in eight processes, follow four members, each of which pushes its log to a few of
them, and those pass it on. What counts is the processor time of the members' processes, with 25 admissions a
second and while nothing is ordered. Another cluster, which nobody follows, does the same in the same seconds:
the followers keep this machine's disk and caches busy, as they would not from machines of their own, and
whatever runs beside them takes a third more time for the same work. They run at a low priority; where their
oldest copy is old, they had too little of the processors, and the rise tells nothing. Then: how long a
newcomer takes until it reads 300,000 tickets.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil

from benchmarks import load
from benchmarks.cluster import Processes, free_ports, running_cluster
from benchmarks.cost import Line, as_json, table
from benchmarks.gate import RATE, Gate
from dtvn.files.whole import write_private
from dtvn.gateway import Gateway
from dtvn.machine import AddPrincipal
from dtvn.net import ensure_seed, format_multiaddr, public_key_of
from dtvn.node.following import Following, keep_following
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import genesis as g
from dtvn.waiting import look_until

NODES = 4
FOLLOWERS, GROUPS = 64, 8
LEAVES = 16
"""Of the followers, those that listen nowhere."""
BEFORE, BLOCKS = 2, 5
"""Measurements before there are followers, and with them."""
SECONDS = 20.0
"""Of each measurement."""
SETTLE = 5.0
PATIENCE = 300.0
LATE_TICKETS = 300_000
LATE_MAX_MS = 10_000.0
RISE_MAX = 10.0
"""Percent of what the members take without followers, under load."""


class Followers:
    """Their folders, and how they are started."""

    def __init__(
        self, processes: Processes, gateway: Gateway, root: Path, count: int = FOLLOWERS, nice: int = 10
    ) -> None:
        """`nice`: at a low priority, as elsewhere they would take nothing of the members' processors."""
        self._nice = nice
        self.folders = [root / f"follower-{number}" for number in range(count)]
        self._gateway = gateway
        place = ClusterFolder(processes.folder)
        member = gateway.present.members[0]
        start = format_multiaddr(member.host, member.port, peer_id(member.public_key))
        cluster, ports = g.cluster_id(gateway.genesis).hex(), free_ports(count)
        keys = []
        for folder, port in zip(self.folders, ports, strict=True):
            own = ClusterFolder(folder)
            own.create()
            keys.append(public_key_of(ensure_seed(own.follower_key)))
            write_private(own.genesis, place.genesis.read_bytes())
            listens = len(keys) <= count - LEAVES
            listen = f"127.0.0.1:{port}" if listens else ""
            keep_following(folder, Following(start, cluster, folder.name, listen))
        for folder, key in zip(self.folders, keys, strict=True):
            command = load.operation(AddPrincipal(folder.name, key), "")
            [result] = gateway.submit([command], wait=PATIENCE).result()
            if result.code != "ok":
                raise RuntimeError(f"{folder.name} is refused: {result.code}")

    @contextmanager
    def running(self) -> Iterator[float]:
        """Run all of them; yields the seconds after which all had the whole log."""
        begun, size = time.monotonic(), -(-len(self.folders) // GROUPS)
        groups = [self._start(self.folders[at : at + size]) for at in range(0, len(self.folders), size)]
        try:
            wanted = self._gateway.acknowledged
            if not look_until(lambda: not self._lacking(wanted), PATIENCE, pause=0.2):
                lacking = {each.name: _told(each) for each in self._lacking(wanted)}
                raise RuntimeError(f"{wanted} is not there within {PATIENCE:g} s: {lacking}")
            yield time.monotonic() - begun
        finally:
            for group in groups:
                group.terminate()
            for group in groups:
                group.wait()

    def ages(self) -> list[float]:
        """Seconds, as their pages would show them."""
        now = time.time()
        return [now - told["as_of"] / 1e6 for told in map(_told, self.folders) if told.get("as_of")]

    def _start(self, folders: Sequence[Path]) -> subprocess.Popen[bytes]:
        command = [
            "nice",
            "-n",
            str(self._nice),
            sys.executable,
            "-m",
            "benchmarks.follower_group",
            *map(str, folders),
        ]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _lacking(self, sequence: int) -> list[Path]:
        """Those whose log does not reach this."""
        return [each for each in self.folders if _told(each).get("sequence", 0) < sequence]


def _told(folder: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode((folder / "status.json").read_bytes())  # type: ignore[no-any-return]
    except FileNotFoundError:
        return {}


def _spent(processes: Processes) -> float:
    """Processor seconds of all members' processes so far."""
    times = [psutil.Process(processes.pid(name)).cpu_times() for name in processes.names]
    return sum(each.user + each.system for each in times)


def _shares(clusters: Sequence[Processes], work: Callable[[], None]) -> list[float]:
    """Percent of one processor that each cluster's members take while this work is done."""
    before, begun = [_spent(each) for each in clusters], time.monotonic()
    work()
    seconds = time.monotonic() - begun
    return [100 * (_spent(each) - spent) / seconds for each, spent in zip(clusters, before, strict=True)]


def _admit(gateways: Sequence[Gateway], tickets: Sequence[str]) -> None:
    """Admit these tickets at a gate of each cluster at once."""
    gates = [threading.Thread(target=Gate(each, list(tickets)).run) for each in gateways]
    for gate in gates:
        gate.start()
    for gate in gates:
        gate.join()


def run(scale: float) -> list[Line]:
    """Measure both clusters at once, at first while neither has followers; `scale` shortens each block."""
    seconds = SECONDS * scale
    count = int(RATE * seconds)
    with (
        running_cluster(NODES, learners=0) as (lonely, its_gateway),
        running_cluster(NODES, learners=0) as (followed, gateway),
        tempfile.TemporaryDirectory(prefix="dtvn-bench-") as name,
    ):
        clusters, gateways = (lonely, followed), (its_gateway, gateway)
        tickets = load.names("F", count * (BLOCKS + BEFORE))
        for each in gateways:
            load.drive(each, load.chunks(load.issues(tickets), 100), outstanding=8)
        parts = load.chunks(tickets, count)

        def block(part: Sequence[str]) -> tuple[list[float], list[float]]:
            loaded = _shares(clusters, partial(_admit, gateways, part))
            idle = _shares(clusters, partial(time.sleep, seconds))
            print(f"alone, followed: under load {loaded}, idle {idle}", file=sys.stderr)
            return loaded, idle

        followers, ages = Followers(followed, gateway, Path(name)), [0.0]
        time.sleep(SETTLE)
        before, blocks = [block(part) for part in parts[:BEFORE]], []
        with followers.running() as joined:
            print(f"joined in {joined:.1f} s", file=sys.stderr)
            time.sleep(SETTLE)
            for part in parts[BEFORE:]:
                blocks.append(block(part))
                ages += followers.ages()
    lines = []
    for at, (what, most) in enumerate((("25 admissions a second", RISE_MAX), ("idle", None))):
        found = [each[at] for each in blocks]
        lines.append(Line(f"members' processor, {what}, alone", statistics.median(a for a, _ in found), "%"))
        with_them = statistics.median(b for _, b in found)
        lines.append(Line(f"the same with {FOLLOWERS} followers", with_them, "%"))
        lines.append(Line("rise", statistics.median(map(_rise, found)), "%", most))
        difference = statistics.median(_rise(each[at]) for each in before)
        lines.append(Line("difference before there were followers", difference, "%"))
    lines.append(Line("oldest copy", max(ages), "s", 15))
    return lines


def _rise(pair: Sequence[float]) -> float:
    """Percent by which the second is above the first."""
    first, second = pair
    return 100 * (second / first - 1)


def late(tickets: int) -> list[Line]:
    """Milliseconds from a newcomer's start, its process's included, until it has a state of so many tickets
    and all that is ordered. It runs at the members' priority: it has a machine of its own elsewhere."""
    with (
        running_cluster(NODES, learners=0) as (processes, gateway),
        tempfile.TemporaryDirectory(prefix="dtvn-bench-") as name,
    ):
        load.drive(gateway, load.chunks(load.issues(load.names("L", tickets)), 1_000), outstanding=8)
        newcomer = Followers(processes, gateway, Path(name), 1, nice=0)
        with newcomer.running() as seconds:
            return [Line(f"a newcomer reads {tickets:,} tickets after", 1_000 * seconds, "ms", LATE_MAX_MS)]


def main(scale: float) -> dict[str, Any]:
    """Measure and print the table."""
    lines = run(scale) + late(int(LATE_TICKETS * min(1.0, scale)))
    print(table(lines))
    return {"lines": as_json(lines)}
