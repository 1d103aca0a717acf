"""A real cluster for a bench: n node processes and a learner in a folder of their own, on loopback."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from validators.genesis import Genesis, decode
from validators.node.layout import ClusterFolder
from validators.node.provision import create_demo_cluster, member_id
from validators.processes.parent import signal_at_parents_death

__all__ = ["Processes", "free_ports", "running_cluster", "running_processes"]

STOP_SECONDS = 15.0
LEARNER = ""
"""Stands for its name."""


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on at the moment."""
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

    def __init__(self, folder: Path, nodes: int, learners: int) -> None:
        self.folder = folder
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._running: dict[str, Any] = {}
        self._names = [member_id(index) for index in range(nodes)]
        for name in [*self._names, *([LEARNER] * learners)]:
            self._start(name)

    def name(self, index: int) -> str:
        """A node's id."""
        return self._names[index]

    def pid(self, name: str) -> int:
        """Of a running process."""
        return int(self._running[name].pid)

    def start(self, index: int) -> None:
        """A node that was killed, again."""
        self._start(self._names[index])

    def kill(self, index: int) -> None:
        """kill -9, and wait until it is gone."""
        process = self._running.pop(self._names[index])
        process.kill()
        process.join()

    def said(self, index: int) -> str:
        """A node's log so far."""
        log = ClusterFolder(self.folder).node(self._names[index]).log / "node.log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def close(self) -> None:
        """End all, in order where they listen."""
        self._stop.set()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            process.join(max(0.1, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()

    def _start(self, name: str) -> None:
        process = self._context.Process(target=_live, args=(self.folder, name, self._stop), daemon=True)
        process.start()
        self._running[name] = process


@contextmanager
def running_processes(folder: Path, nodes: int, *, learners: int = 1) -> Iterator[tuple[Genesis, Processes]]:
    """Make and run a cluster below `folder`; every process is gone when the block ends."""
    create_demo_cluster(folder, nodes=nodes, host="127.0.0.1", ports=free_ports(nodes))
    genesis = decode(ClusterFolder(folder).genesis.read_bytes())
    processes = Processes(folder, nodes, learners)
    try:
        yield genesis, processes
    finally:
        processes.close()


@contextmanager
def running_cluster(folder: Path, nodes: int) -> Iterator[Genesis]:
    """The same with a learner, for those who start and stop nothing themselves."""
    with running_processes(folder, nodes) as (genesis, _processes):
        yield genesis


def _live(folder: Path, name: str, stop: Any) -> None:
    """One node (or the learner: no name), as its Celery task would run it, on the embedded default. Never
    outlives the benchmark, however that ends."""
    signal_at_parents_death(signal.SIGKILL)
    os.environ["DTVN_DATA"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "dtvn_project.settings"
    os.environ.pop("DATABASE_URL", None)
    import django

    django.setup()
    from validators.node.run import run_learner, run_node

    if name:
        run_node(ClusterFolder(folder).node(name).root, stop.is_set)
    else:
        run_learner(folder, stop.is_set)
