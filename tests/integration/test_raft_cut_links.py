"""Five real Raft members between which links are cut go on while one of them reaches a majority (R44)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from dtvn.gateway import Gateway
from dtvn.protocol.quorum import Mode
from tests.integration.cut_town import Gate, told
from tests.integration.lossy_hosts import Line, lossy_hosts
from tests.integration.test_slow_lines import Nodes
from tests.needed import lacking
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive, pytest.mark.timeout(600)]

MEMBERS = 5
OTHERS = range(1, MEMBERS)
"""Members by their distance from the leader."""


def pairs(linked: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    return [
        (one, two) for one in range(MEMBERS) for two in range(MEMBERS) if one != two and not linked(one, two)
    ]


CUTS: dict[str, list[tuple[int, int]]] = {
    "the leader hears nobody": [(other, 0) for other in OTHERS],
    "nobody hears the leader": [(0, other) for other in OTHERS],
    "the leader is left with one": pairs(lambda one, two: (one < 2) == (two < 2)),
    "only one that does not lead is linked to all": pairs(lambda one, two: 2 in (one, two)),
    "each is linked to its neighbours in a chain": pairs(lambda one, two: abs(one - two) == 1),
}


def leader(gateway: Gateway) -> int:
    return max(int(told(gateway, index, "status")["view"]) for index in range(MEMBERS)) % MEMBERS


def test_r44_raft_decides_while_one_member_reaches_a_majority(tmp_path: Path) -> None:
    line = Line(0.0005, 0.0)
    with lossy_hosts(MEMBERS, line) as places, ExitStack() as ended:
        if not places[0].separate:
            lacking("no network namespaces on this machine: apt-get install iproute2, and be root")
        gateway = Nodes(tmp_path, places, Mode.RAFT, MEMBERS - 1).start(ended)
        gate = ended.enter_context(Gate(gateway))
        gate.goes_on(3)
        for cut in CUTS.values():
            first = leader(gateway)
            line.one_way = {((first + one) % MEMBERS, (first + two) % MEMBERS) for one, two in cut}
            gate.goes_on(30)
            line.one_way = ()
            gate.goes_on(3)
        gate.stop()
        decided = gateway.acknowledged
        wait_until(
            lambda: all(told(gateway, at, "status")["sequence"] >= decided for at in range(MEMBERS)),
            what="all have all",
        )
        for ticket in gate.admitted:
            states = {
                told(gateway, at, "ticket", "default", ticket)["ticket"]["State"] for at in range(MEMBERS)
            }
            assert states == {"CONSUMED"}, ticket
