"""The helper of a node's API ends with its node, also if the node is killed while the helper hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from dtvn.node.kept_ports import keep_ports
from dtvn.node.layout import ClusterFolder
from dtvn.node.provision import create_demo_cluster
from tests.node.test_api_port import answered
from tests.ports import free_ports
from tests.waiting import PATIENCE, allowed, wait_until

PROMISED = 2.0
"""Seconds after a node's death within which its helper is gone."""
NODE = """
import logging, sys, threading
from pathlib import Path
from dtvn.node.api_start import start_api
from dtvn.node.kept_ports import kept_api
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import NodeOptions
folder = ClusterFolder(Path(sys.argv[1])).node("node0")
api = start_api(folder, NodeOptions(api=kept_api(folder, "k")), logging.getLogger())
threading.Event().wait()
"""


def test_a_hanging_helper_ends_with_its_killed_node(tmp_path: Path) -> None:
    create_demo_cluster(tmp_path, nodes=1, host="127.0.0.1", ports=free_ports(1))
    kept = keep_ports([ClusterFolder(tmp_path).node("node0")], "api", lambda _: free_ports(1))
    address = ("127.0.0.1", next(iter(kept.values())))
    node = subprocess.Popen([sys.executable, "-c", NODE, str(tmp_path)])
    helpers: list[psutil.Process] = []
    try:
        wait_until(lambda: answered(address), what="the helper answers")
        helpers = psutil.Process(node.pid).children(recursive=True)
        assert len(helpers) == 1
        os.kill(helpers[0].pid, signal.SIGSTOP)
        node.kill()
        node.wait(PATIENCE)
        assert not psutil.wait_procs(helpers, timeout=allowed(PROMISED))[1], "the helper outlives its node"
    finally:
        node.kill()
        for helper in helpers:
            if helper.is_running():
                helper.kill()
