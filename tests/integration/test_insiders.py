"""An insider floods all nodes under a gateway key of its own: the clients of another hardly notice (P15)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import pytest

from tests.integration.insider import KINDS
from tests.integration.node_cluster import ROOT, Cluster, environment, running_cluster
from tests.integration.test_node_flood import p99

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.bench]

ROUNDS = 5
RISE = 2.0


@contextmanager
def attacked(cluster: Cluster, kind: str) -> Iterator[None]:
    """Under the key of node3's own API, which is a principal as a gateway is."""
    arguments = (cluster.folder.genesis, cluster.node(3).api_key, kind)
    command = [sys.executable, "-m", "tests.integration.insider", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == b"at work\n"
        try:
            yield
        finally:
            attacker.kill()


@pytest.mark.parametrize("kind", list(KINDS))
def test_others_hardly_notice_an_insider(tmp_path: Path, kind: str) -> None:
    """Rounds without and with the attacker in turn, each first in every other turn."""
    seen: dict[bool, list[float]] = {False: [], True: []}
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        p99(gateway, "warm")
        view = cluster.status_of(gateway, 0)["view"]
        for turn in range(ROUNDS):
            for under_attack in (False, True) if turn % 2 == 0 else (True, False):
                with attacked(cluster, kind) if under_attack else ExitStack():
                    seen[under_attack].append(p99(gateway, f"{under_attack}-{turn}"))
        status = cluster.status_of(gateway, 0)
    print(f"{kind}: calm {seen[False]}\nattacked {seen[True]}\nview {view} {status['view']}")  # noqa: T201
    assert median(seen[True]) <= RISE * median(seen[False])
    assert status["view"] == view
