"""API helpers are forked where a process for that was started, and end as those that are programs do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from dtvn.node.kept_ports import keep_ports
from dtvn.node.layout import ClusterFolder
from dtvn.node.provision import create_demo_cluster
from tests.node.test_api_port import answered
from tests.node.test_helper_ends import NODE
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

WORKER = (
    """
import os, sys
from dtvn.node.helper_process import begin_forks
begin_forks()
for folder in sys.argv[1:]:
    pid = os.fork()
    if not pid:
        sys.argv[1] = folder
        break
    print(pid, flush=True)
else:
    os.waitpid(-1, 0)
    os.waitpid(-1, 0)
    os._exit(0)
"""
    + NODE
)


class Nodes:
    """Two nodes' APIs in two processes, forked by one."""

    def __init__(self, data: Path) -> None:
        self.addresses = []
        folders = [data / "first", data / "second"]
        for folder in folders:
            create_demo_cluster(folder, nodes=1, host="127.0.0.1", ports=free_ports(1))
            kept = keep_ports([ClusterFolder(folder).node("node0")], "api", lambda _: free_ports(1))
            self.addresses.append(("127.0.0.1", next(iter(kept.values()))))
        self.worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, *map(str, folders)], stdout=subprocess.PIPE
        )
        assert self.worker.stdout is not None
        self.nodes = [psutil.Process(int(self.worker.stdout.readline())) for _ in folders]
        self.all_answer()
        [self.forks] = [each for each in psutil.Process(self.worker.pid).children() if each not in self.nodes]
        self.standby = min(self.forks.children(), key=lambda each: (each.create_time(), each.pid))

    def all_answer(self) -> None:
        wait_until(lambda: all(map(answered, self.addresses)), what="both helpers answer")

    @property
    def helpers(self) -> list[psutil.Process]:
        return [each for each in self.forks.children() if each != self.standby]

    def end(self) -> None:
        for each in self.nodes:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.worker.kill()
        self.worker.communicate()
        psutil.wait_procs([self.forks, self.standby], timeout=PATIENCE)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.end()


def test_forked_helpers_come_back_and_end_with_their_node(nodes: Nodes) -> None:
    assert len(nodes.helpers) == 2
    assert not any(node.children() for node in nodes.nodes)
    killed = nodes.helpers[0]
    killed.kill()
    wait_until(lambda: len(nodes.helpers) == 2 and killed not in nodes.helpers, what="another one")
    nodes.all_answer()

    hung = nodes.helpers
    for helper in hung:
        helper.suspend()
    nodes.nodes[0].kill()
    wait_until(lambda: len(nodes.helpers) == 1, what="the helper of the killed node has ended")
    nodes.helpers[0].resume()
    first, second = nodes.addresses
    assert not answered(first)
    wait_until(lambda: answered(second), what="the other node's helper answers")

    nodes.nodes[1].kill()
    nodes.worker.kill()
    alive = psutil.wait_procs([nodes.forks, nodes.standby], timeout=PATIENCE)[1]
    assert not alive, "nobody is left that may ask"


def test_the_forking_process_has_a_successor_that_has_imported_too(nodes: Nodes) -> None:
    before = nodes.helpers
    nodes.forks.kill()
    psutil.wait_procs(before, timeout=PATIENCE)
    wait_until(lambda: len(nodes.standby.children()) == 3, what="two helpers and the next successor")
    nodes.all_answer()
    assert not any(node.children() for node in nodes.nodes)


def test_without_the_forking_process_a_node_starts_its_helper_itself(nodes: Nodes) -> None:
    nodes.standby.kill()
    nodes.forks.kill()
    wait_until(lambda: all(node.children() for node in nodes.nodes), what="programs of their own")
    nodes.all_answer()
