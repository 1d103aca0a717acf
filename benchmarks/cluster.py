"""A real cluster for a bench: n node processes and a learner in a folder of their own, on loopback."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from validators.genesis import Genesis, decode
from validators.node.layout import ClusterFolder
from validators.node.provision import create_demo_cluster, member_id

__all__ = ["free_ports", "running_cluster"]

STOP_SECONDS = 15.0


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


@contextmanager
def running_cluster(folder: Path, nodes: int) -> Iterator[Genesis]:
    """Make and run a cluster and a learner below `folder`; every process is gone when the block ends."""
    create_demo_cluster(folder, nodes=nodes, host="127.0.0.1", ports=free_ports(nodes))
    genesis = decode(ClusterFolder(folder).genesis.read_bytes())
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    names = [*(member_id(index) for index in range(nodes)), ""]
    processes = [context.Process(target=_live, args=(folder, name, stop), daemon=True) for name in names]
    for process in processes:
        process.start()
    try:
        yield genesis
    finally:
        stop.set()
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes:
            process.join(max(0.1, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()


def _live(folder: Path, name: str, stop: Any) -> None:
    """One node (or the learner: no name), as its Celery task would run it, on the embedded default."""
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
