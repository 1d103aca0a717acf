"""Followers with real processes: they join from one address, pass the log on, and replace who fails (R45)."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from dtvn.machine import AddPrincipal, Issue, RevokePrincipal
from dtvn.node.keys import peer_id, public_key_of_peer_id
from tests.integration.followers import LOOPBACK, Followers
from tests.integration.node_cluster import (
    ROOT,
    environment,
    operation,
    running_cluster,
    submit,
)
from tests.integration.splice_process import SpliceProcess
from tests.integration.test_epochs import Town
from tests.ports import free_ports
from tests.waiting import PATIENCE, STALL, wait_until
from validators.services.following import RED

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

REPLACED_WITHIN = 2.0
"""Seconds in which a dead parent is replaced."""
PEER_ID = re.compile(r"peer id: (\S+)")


class Command:
    """`manage.py follow` as an operator runs it."""

    def __init__(self, data: Path, *words: str) -> None:
        [self.port] = free_ports(1)
        self.data, self.output = data, data.with_suffix(".out")
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "manage.py", "follow", "--data-dir", str(data), "--port", str(self.port)]
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *words],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def peer_id(self) -> str:
        found = wait_until(lambda: PEER_ID.search(self.said), what=lambda: f"its peer id: {self.said}")
        assert found is not None
        return found[1]

    def ready(self) -> httpx.Response | None:
        """The answer of /ready; None while nothing answers."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=5.0)
        except httpx.TransportError:
            return None

    def reach(self, sequence: int) -> None:
        """Wait until its pages show this sequence."""

        def shows() -> bool:
            found = self.ready()
            return found is not None and found.status_code == 200 and found.json()["sequence"] >= sequence

        wait_until(shows, what=lambda: f"the follower shows {sequence}: {self.ready()} {self.said}")

    def client(self) -> httpx.Client:
        """A client with the follower's own API key."""
        credentials = self.data / "credentials.json"
        wait_until(credentials.exists, what=lambda: f"its credentials: {self.said}")
        key = msgspec.json.decode(credentials.read_bytes())["api_key"]
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key}, timeout=10.0)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()


@contextmanager
def command(data: Path, *words: str) -> Iterator[Command]:
    made = Command(data, *words)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def followers(root: Path, *, fanout: int = 3) -> Iterator[Followers]:
    """A cluster of four whose members push their log to so many followers each, and its followers."""
    (root / "followers").mkdir(parents=True)
    settings = {"DTVN_GOSSIP_FANOUT": str(fanout)}
    with (
        running_cluster(root / "members", 4, settings=settings) as (cluster, gateway),
        Followers(cluster, gateway, root / "followers") as made,
    ):
        yield made


def issue(known: Followers, name: str) -> int:
    """Issue a ticket; returns the sequence that was acknowledged."""
    assert submit(known.gateway, [operation(Issue(), name)])[0].code == "ok"
    return known.gateway.acknowledged


@pytest.mark.exhaustive
def test_r45_a_fresh_host_joins_from_one_address_that_then_dies(tmp_path: Path) -> None:
    with followers(tmp_path) as known, command(tmp_path / "gate", "--from", known.of_member(0)) as gate:
        for number in range(40):
            issue(known, f"T-{number}")
        wait_until(lambda: "does not know this key yet" in gate.said, what=lambda: gate.said)
        key = public_key_of_peer_id(gate.peer_id())
        assert submit(known.gateway, [operation(AddPrincipal("gate", key))])[0].code == "ok"
        gate.reach(known.gateway.acknowledged)
        known.cluster.kill(0)
        gate.reach(issue(known, "T-after"))
        with gate.client() as client:
            shown = client.get("/api/v1/tickets/T-after")
            assert (shown.status_code, shown.json()["data"]["State"]) == (200, "ISSUED"), shown.json()
            assert float(shown.headers["X-DTVN-Age"]) < 15
            status = client.get("/api/v1/status").json()["follower"]
            assert status["age"] < 15
            assert status["sequence"] == known.gateway.acknowledged
            refused = client.post("/api/v1/tickets/validate", json={"ticket_id": "T-1"})
            assert (refused.status_code, refused.json()["code"]) == (403, "follower")
            assert "a platform of the members" in refused.json()["error"]
            assert "dtvn_platform_follower_age_seconds" in client.get("/metrics").text
        assert submit(known.gateway, [operation(RevokePrincipal("gate"))])[0].code == "ok"
        wait_until(
            lambda: "delete keys/follower.key" in gate.said,
            timeout=RED + PATIENCE,
            what=lambda: f"the terminal says what to do: {gate.said}",
        )
        assert gate.stop() == 0


def test_r45_a_follower_reaches_its_source_through_a_splice(tmp_path: Path) -> None:
    """The leaf knows only the relay's place at the splice: genesis and log come to it through that. Later it
    knows members too, and needs neither."""
    with followers(tmp_path, fanout=1) as known, ExitStack() as ended:
        [relay, leaf] = known.admit(["relay", "leaf"], leaves=["relay", "leaf"])
        port, given = free_ports(2)
        words = ["--ports", f"{given}-{given}", "--allow", peer_id(relay.public_key)]
        splice = SpliceProcess(tmp_path / "splice", LOOPBACK, port, *words)
        multiaddr = splice.start()
        ended.callback(splice.end)
        words = ["--from", known.of_member(0), "--via", multiaddr]
        behind = ended.enter_context(command(relay.folder, *words))
        relay.port = given
        with command(leaf.folder, "--from", relay.multiaddr, "--no-pages") as first:
            wait_until(lambda: "ready: it follows" in first.said, what=lambda: f"{first.said}{behind.said}")
            assert first.stop() == 0
        splice.end(signal.SIGKILL)
        known.start([leaf])
        known.reach(issue(known, "T-beside"))


def test_r45_a_follower_keeps_to_its_cluster(tmp_path: Path) -> None:
    with followers(tmp_path) as known:
        [relay] = known.admit(["relay"])
        known.start([relay])
        known.reach(known.gateway.acknowledged)
        with command(tmp_path / "other", "--from", relay.multiaddr, "--cluster", "00") as other:
            key = public_key_of_peer_id(other.peer_id())
            assert submit(known.gateway, [operation(AddPrincipal("other", key))])[0].code == "ok"
            assert other.process.wait(PATIENCE) == 1
            assert "not 00: --from or --cluster is wrong" in other.said, "the relay told its genesis"
        with command(tmp_path / "members", "--from", relay.multiaddr) as taken:
            assert taken.process.wait(PATIENCE) == 1
            assert "holds a platform or a node" in taken.said


def test_r45_a_dead_parent_is_replaced_within_two_seconds(tmp_path: Path) -> None:
    with followers(tmp_path, fanout=1) as known:
        made = known.admit([f"f{number}" for number in range(9)])
        for each in made:
            known.start([each], often=True)
        known.reach(known.gateway.acknowledged)

        def relayed() -> list[str]:
            names = {str(each.status().get("source")) for each in made}
            return sorted(names & {each.name for each in made})

        parents = wait_until(relayed, what=lambda: f"some follow relays: {known.told()}")
        begun = time.monotonic()
        known.kill(parents[0])
        sequence = issue(known, "T-1")
        known.reach(sequence, timeout=3 * REPLACED_WITHIN + STALL)
        took = time.monotonic() - begun
        assert took < REPLACED_WITHIN + STALL, f"{took:.2f} s: {known.told()}"


def tier_of(known: Followers, name: str) -> int:
    """1 if a member pushes the log to it, 2 if its parent is such a relay, and so on; 0 while in a loop."""
    seen: list[str] = []
    while name in known.known and name not in seen:
        seen.append(name)
        name = str(known.known[name].status().get("source"))
    return 0 if name in seen else len(seen)


@pytest.mark.exhaustive
def test_twenty_followers_in_three_tiers_outlive_members_and_relays(tmp_path: Path) -> None:
    with followers(tmp_path, fanout=1) as known:
        town = Town(known.cluster, known.gateway)
        names = [f"f{number}" for number in range(20)]
        made = known.admit(names, leaves=names[16:])
        known.start(made[:1], lies=True)
        for first in range(1, 20, 4):
            known.start(made[first : first + 4])
        known.reach(known.gateway.acknowledged)
        wait_until(
            lambda: {1, 2, 3} <= {tier_of(known, name) for name in names},
            what=lambda: f"three tiers: {known.told()}",
        )
        for number in range(50):
            issue(known, f"before-{number}")
        town.add(4, free_ports(1)[0])
        town.remove("node0")
        known.reach(issue(known, "members-changed"))
        busy = sorted(made[1:9], key=lambda each: -int(each.status().get("children", 0)))
        known.kill(busy[0].name)
        issue(known, "relay-died")
        left = [each for each in busy if each.name in known.processes]
        if left:
            known.kill(left[0].name)
        for number in range(50):
            issue(known, f"after-{number}")
        last = known.gateway.acknowledged
        known.reach(last)

        def settled() -> bool:
            told = [each.status() for each in known.running]
            return len({(each["sequence"], each["log_root"]) for each in told}) == 1

        wait_until(settled, what=lambda: f"equal roots: {known.told()}")
        assert {each.status()["epoch"] for each in known.running} == {2}
        wait_until(
            lambda: all(each.age < 10 for each in known.running),
            what=lambda: f"fresh: {[(each.name, each.age) for each in known.running]}",
        )
        assert all(lives_in(known, each.name) for each in known.running)


def lives_in(known: Followers, name: str) -> bool:
    return known.processes[name].poll() is None
