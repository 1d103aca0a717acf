"""Members whose lines take 600 ms and lose 5 % go on deciding (R31)."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from dtvn.gateway import Gateway
from dtvn.node.layout import ClusterFolder
from dtvn.protocol.quorum import Mode
from tests.integration.cut_town import Gate, Town, node, told
from tests.integration.hosts import Host
from tests.integration.lossy_hosts import Line, lossy_hosts
from tests.needed import lacking
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive, pytest.mark.timeout(900)]

LASTS = 40.0
"""Seconds of the bad line while gates call."""
ADAPTS = 15.0
"""Seconds of it before that, in which members measure it: a line that becomes bad under load may cost a
view."""
GATES = 3
SLOW_MS = 500.0


class Nodes(Town):
    """The members alone, without platforms; the gateway is of this process."""

    def start(self, ended: ExitStack) -> Gateway:
        for name, desk in self.desks.items():
            ended.enter_context(node(name, desk))
        folder = ClusterFolder(next(iter(self.desks.values())).data)
        return ended.enter_context(Gateway.open(folder.genesis, folder.gateway_key))


def is_slow(gateway: Gateway) -> bool:
    """Whether a member has measured the line."""
    return bool(told(gateway, 0, "status")["quorum_round_trip_ms"] >= SLOW_MS)


def decided(gates: list[Gate]) -> int:
    """Operations: each ticket is issued and admitted."""
    return 2 * sum(len(gate.admitted) for gate in gates)


def views_after_a_bad_line(root: Path, places: list[Host], line: Line, mode: Mode, *, least: int) -> set[int]:
    """Views that members were in, after at least so many operations were decided."""
    with ExitStack() as ended:
        nodes = Nodes(root, places, mode, len(places) - 1)
        gateway = nodes.start(ended)
        with Gate(gateway) as first:
            first.goes_on(3)
        line.delay, line.loss = 0.3, 0.05
        wait_until(lambda: is_slow(gateway), timeout=ADAPTS, pause=0.5, what="the line was measured")
        gates = [Gate(gateway) for _ in range(GATES)]
        for number, gate in enumerate(gates):
            gate.prefix = f"SLOW-{number}"
            ended.enter_context(gate)
        wait_until(lambda: decided(gates) >= least, timeout=LASTS, what=lambda: f"{decided(gates)} decided")
        line.delay, line.loss = 0.0005, 0.0
        views = {int(told(gateway, index, "status")["view"]) for index in range(len(places))}
        gates[0].goes_on(3)
        return views


@pytest.mark.parametrize(("mode", "members", "least"), [(Mode.PBFT, 4, 20), (Mode.RAFT, 3, 30)])
def test_r31_a_line_of_600_ms_that_loses_5_percent_carries_admissions(
    tmp_path: Path, mode: Mode, members: int, least: int
) -> None:
    """etcd with its defaults makes 30 to 60 puts on this line; under PBFT no view is left for its sake."""
    line = Line(0.0005, 0.0)
    with lossy_hosts(members, line) as places:
        if not places[0].separate:
            lacking("no network namespaces on this machine: apt-get install iproute2, and be root")
        views = views_after_a_bad_line(tmp_path, places, line, mode, least=least)
    if mode is Mode.PBFT:
        assert views == {0}
