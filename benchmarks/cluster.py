"""A real cluster for a benchmark: n node processes and a learner in a folder of their own, on loopback."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.late_links import make_late
from benchmarks.settings import use_folder
from dtvn.files.genesis import read_genesis
from dtvn.gateway import Gateway
from dtvn.net import read_seed
from dtvn.node.layout import ClusterFolder
from dtvn.node.parents_death import signal_at_parents_death
from dtvn.node.provision import create_demo_cluster, member_id
from dtvn.protocol.quorum import Mode
from dtvn.waiting import look_until

STOP_SECONDS = 15.0
POLL_SECONDS = 0.2
PATIENCE = 600.0
LEARNER = ""
"""The learner's name among the processes."""


def free_ports(count: int) -> list[int]:
    """TCP ports on which no process listens at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]
    finally:
        for opened in sockets:
            opened.close()


class Processes:
    """Nodes by index, and learners, as children of this process."""

    def __init__(self, folder: Path, nodes: int, learners: int, *, delayable: bool = False) -> None:
        """`delayable`: nodes can be made late, see `delay`; their links cost more then."""
        self.folder = folder
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._running: dict[str, Any] = {}
        self.names = [member_id(index) for index in range(nodes)]
        self._delays = {name: self._context.Array("q", 2, lock=False) for name in self.names if delayable}
        for name in [*self.names, *([LEARNER] * learners)]:
            self._start(name)

    def name(self, index: int) -> str:
        """A node's id."""
        return self.names[index]

    def pid(self, name: str) -> int:
        """Process id of a running process."""
        return int(self._running[name].pid)

    def start(self, index: int) -> None:
        """Restart a node that was killed."""
        self._start(self.names[index])

    def kill(self, index: int) -> None:
        """Kill a node (SIGKILL), and wait until it has ended."""
        process = self._running.pop(self.names[index])
        process.kill()
        process.join()

    def join(self, name: str) -> None:
        """Start a further node, whose folder is there."""
        self.names.append(name)
        self._start(name)

    def leave(self, name: str) -> None:
        """Kill a node that is no member any more."""
        self._running.pop(name).kill()

    def delay(self, index: int, *, frames: float = 0.0, proposals: float = 0.0) -> None:
        """Delay every frame that a node sends by `frames` seconds, its PRE-PREPAREs by `proposals` more."""
        self._delays[self.names[index]][:] = [int(frames * 1e9), int(proposals * 1e9)]

    def said(self, index: int) -> str:
        """A node's log so far."""
        log = ClusterFolder(self.folder).node(self.names[index]).log / "node.log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def close(self) -> None:
        """Ask all processes to stop; kill those that do not."""
        self._stop.set()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            process.join(max(0.1, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()

    def _start(self, name: str) -> None:
        arguments = (self.folder, name, self._stop, self._delays.get(name))
        process = self._context.Process(target=_live, args=arguments, daemon=True)
        process.start()
        self._running[name] = process


@contextmanager
def running_cluster(
    nodes: int, *, learners: int = 1, delayable: bool = False, consensus: Mode = Mode.PBFT
) -> Iterator[tuple[Processes, Gateway]]:
    """A cluster in a temporary folder, and a gateway through which it has committed; every process has ended
    when the block ends."""
    with tempfile.TemporaryDirectory(prefix="dtvn-bench-") as name:
        ports = free_ports(nodes)
        create_demo_cluster(Path(name), nodes=nodes, host="127.0.0.1", ports=ports, consensus=consensus)
        processes = Processes(Path(name), nodes, learners, delayable=delayable)
        try:
            with gateway(processes.folder) as first:
                if not look_until(lambda: _commits(first), PATIENCE, pause=POLL_SECONDS):
                    raise RuntimeError(f"the cluster does not commit within {PATIENCE:g} s")
                yield processes, first
        finally:
            processes.close()


def gateway(folder: Path, **limits: Any) -> Gateway:
    """A further gateway of the cluster in this folder."""
    place = ClusterFolder(folder)
    seed = read_seed(place.gateway_key)
    return Gateway(read_genesis(place.genesis), seed, principal="gateway", **limits)


def _commits(gateway: Gateway) -> bool:
    try:
        load.drive(gateway, [load.issues([f"warm-{time.monotonic_ns()}"])], outstanding=1)
    except RuntimeError:
        return False
    return True


def _live(folder: Path, name: str, stop: Any, delays: Any) -> None:
    """Runs one node (or the learner if `name` is LEARNER) as its Celery task would, with the embedded
    database. It never outlives the benchmark, however that ends."""
    signal_at_parents_death(signal.SIGKILL)
    use_folder(folder)
    from dtvn.node.garbage import BetweenTurns
    from dtvn.node.run import run_learner, run_node
    from validators.ledger import find_ledger, open_ledger

    if delays is not None:
        make_late(delays)
    if name:
        run_node(
            ClusterFolder(folder).node(name).root,
            stop.is_set,
            open_ledger=open_ledger,
            find_ledger=find_ledger,
            garbage=BetweenTurns(),
        )
    else:
        run_learner(folder, stop.is_set, open_ledger=open_ledger, garbage=BetweenTurns())
