"""A member that nobody can dial, and that has no route to two others, votes through a splice (R45).

Four members and a splice on hosts of their own, 50 ms and 1 % loss one way between any two of them.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Barrier, Issue
from dtvn.net import parse_multiaddr
from dtvn.node.layout import ClusterFolder
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol import genesis as g
from tests.integration.hosts import Host
from tests.integration.lossy_hosts import Line, lossy_hosts
from tests.integration.node_cluster import ANSWER_WAIT, operation, submit, validator
from tests.integration.splice_process import SpliceProcess
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(900)]

MEMBERS = 4
FAR = 3
"""The member behind a NAT; it can dial member 0, and nobody can dial it."""
SPLICE = 4
DELAY, LOSS = 0.05, 0.01
PORT, MEMBER_PORT = 7_100, 4_001


class Far:
    """The cluster, of which one member is far."""

    def __init__(self, root: Path, places: list[Host], line: Line) -> None:
        self.places, self.line = places, line
        self.folder = ClusterFolder(root / "data")
        _found(self.folder, places)
        place, genesis = places[SPLICE], str(self.folder.genesis)
        self.splice = SpliceProcess(
            root / "splice", place.address, PORT, "--genesis", genesis, enter=place.enter
        )
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.multiaddr = ""

    def start(self, at: int) -> None:
        flags = ["-id", f"node{at}", "-data-dir", str(self.folder.root)]
        if at == FAR:
            flags += ["-via", self.multiaddr]
        with self.log(at).open("ab") as log:
            self.processes[at] = validator(*flags, log=log, enter=self.places[at].enter)

    def log(self, at: int) -> Path:
        return self.folder.root / f"node{at}.out"

    def said(self) -> str:
        logs = "\n".join(
            f"--- node{at}\n" + "\n".join(self.log(at).read_text().splitlines()[-12:])
            for at in self.processes
        )
        line = f"passed {self.line.passed}, lost {self.line.lost}, refused {self.line.refused}"
        return f"{logs}\n--- splice\n{self.splice.said()[-2_000:]}\n{line}"

    def end(self, at: int) -> None:
        process = self.processes.pop(at)
        process.terminate()
        process.wait(PATIENCE)


def _found(folder: ClusterFolder, places: list[Host]) -> None:
    """A cluster whose genesis has each member's own address."""
    create_demo_cluster(folder.root, MEMBERS, "127.0.0.1", range(1, 1 + MEMBERS))
    genesis = g.decode(folder.genesis.read_bytes())
    members = tuple(
        msgspec.structs.replace(member, host=places[at].address, port=MEMBER_PORT)
        for at, member in enumerate(genesis.members)
    )
    content = g.encode(msgspec.structs.replace(genesis, members=members))
    for file in (folder.genesis, *(folder.node(member.id).genesis for member in members)):
        file.chmod(0o600)
        file.write_bytes(content)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """All of it running."""
    root = tmp_path_factory.mktemp("far")
    line = Line(DELAY, LOSS)
    with lossy_hosts(MEMBERS + 1, line) as places, ExitStack() as ended:
        line.behind = {FAR}
        line.apart = {frozenset((FAR, 1)), frozenset((FAR, 2))}
        cluster = Far(root, places, line)
        cluster.multiaddr = cluster.splice.start()
        ended.callback(cluster.splice.end)
        for at in range(MEMBERS):
            cluster.start(at)
        ended.callback(lambda: [cluster.end(at) for at in list(cluster.processes)])
        yield cluster


@pytest.fixture
def gateway(far: Far) -> Iterator[Gateway]:
    """A gateway of this process, which dials the far member at the splice."""
    place = wait_until(lambda: _place(far), what=far.said)
    assert place is not None
    with_far = Gateway.open(far.folder.genesis, far.folder.gateway_key)
    with_far.dial({f"node{FAR}": place})
    try:
        yield with_far
    finally:
        with_far.close()


def _place(far: Far) -> tuple[str, int] | None:
    """Where the far member is dialled, once it knows."""
    file = far.folder.node(f"node{FAR}").via
    return parse_multiaddr(file.read_text().split()[1])[:2] if file.exists() else None


def status(gateway: Gateway, at: int) -> dict[str, Any]:
    answer = gateway.query(at, "status", wait=ANSWER_WAIT).result(ANSWER_WAIT + 10)
    return json.loads(answer.text) if not answer.code else {}


def linked(gateway: Gateway, far: Far, others: set[int]) -> None:
    """Wait until the far member has links with these."""
    names = {f"node{at}" for at in others}
    wait_until(
        lambda: set(status(gateway, FAR).get("peers", ())) == names and status(gateway, FAR)["voting"],
        timeout=2 * PATIENCE,
        what=lambda: f"{status(gateway, FAR).get('peers')}\n{far.said()}",
    )


def decides(gateway: Gateway, far: Far) -> None:
    wait_until(
        lambda: submit(gateway, [operation(Barrier())], wait=5.0)[0].code == "ok",
        timeout=2 * PATIENCE,
        what=far.said,
    )


def test_a_member_without_a_route_to_two_others_votes_through_a_splice(far: Far, gateway: Gateway) -> None:
    """Without member 1 there are three left, and all three are needed to decide."""
    linked(gateway, far, {0, 1, 2})
    decides(gateway, far)
    far.end(1)
    decides(gateway, far)
    for at in range(5):
        [result] = submit(gateway, [operation(Issue(), f"FAR-{at}", nonce=bytes([at]))])
        assert result.code == "ok"
    assert status(gateway, FAR)["voting"]
    assert far.line.lost > 0
    far.start(1)
    linked(gateway, far, {0, 1, 2})


def test_the_links_come_back_by_themselves_after_the_splice_was_killed(far: Far, gateway: Gateway) -> None:
    linked(gateway, far, {0, 1, 2})
    before = _place(far)
    far.splice.end(signal.SIGKILL)
    decides(gateway, far)  # the three others go on
    wait_until(lambda: "node3" not in status(gateway, 0).get("peers", ["node3"]), what=far.said)
    assert far.splice.start() == far.multiaddr
    linked(gateway, far, {0, 1, 2})
    assert _place(far) == before
    far.end(1)
    decides(gateway, far)
    far.start(1)


def test_a_member_begins_while_the_splice_is_away(far: Far, gateway: Gateway) -> None:
    """It keeps the place that it had there, and says why nobody reaches it."""
    linked(gateway, far, {0, 1, 2})
    far.splice.end()
    far.end(FAR)
    far.start(FAR)
    wait_until(lambda: "via_down" in far.log(FAR).read_text(), what=far.said)
    far.splice.start()
    linked(gateway, far, {0, 1, 2})
