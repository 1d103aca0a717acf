"""Followers of a cluster of real nodes, for tests: their keys, folders and processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from benchmarks.follower_group import STATUS
from dtvn.files.whole import write_private
from dtvn.gateway import Gateway
from dtvn.machine import AddPrincipal
from dtvn.net import ensure_seed, format_multiaddr, public_key_of
from dtvn.node.following import Following, keep_following
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.protocol.genesis import cluster_id
from tests.integration.follower_group import LIES, OFTEN
from tests.integration.node_cluster import ROOT, Cluster, environment, operation, submit
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

LOOPBACK = "127.0.0.1"


class Follower:
    """One follower's folder."""

    def __init__(self, folder: Path, port: int) -> None:
        """`port`: where it listens; 0: it is a leaf."""
        self.name, self.folder, self.port = folder.name, folder, port
        places = ClusterFolder(folder)
        places.create()
        self.public_key = public_key_of(ensure_seed(places.follower_key))

    @property
    def multiaddr(self) -> str:
        return format_multiaddr(LOOPBACK, self.port, peer_id(self.public_key))

    def prepare(self, genesis: bytes, cluster: str, start: str) -> None:
        """Leave the folder as a follower leaves it that was admitted and has not begun yet."""
        write_private(ClusterFolder(self.folder).genesis, genesis)
        listen = f"{LOOPBACK}:{self.port}" if self.port else ""
        keep_following(self.folder, Following(start, cluster, self.name, listen))

    def status(self) -> dict[str, Any]:
        """Its newest heartbeat; {} before the first."""
        try:
            return msgspec.json.decode((self.folder / STATUS).read_bytes())  # type: ignore[no-any-return]
        except FileNotFoundError:
            return {}

    @property
    def sequence(self) -> int:
        return int(self.status().get("sequence", -1))

    @property
    def age(self) -> float:
        """Seconds, as its pages would show it now."""
        as_of = self.status().get("as_of", 0)
        return time.time() - as_of / 1e6 if as_of else float("inf")


class Followers:
    """Followers in groups of processes. Ended by `close`, whatever happened."""

    def __init__(self, cluster: Cluster, gateway: Gateway, root: Path) -> None:
        self.cluster, self.gateway, self.root = cluster, gateway, root
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        """By the name of any follower in it."""
        self.known: dict[str, Follower] = {}
        self._genesis = cluster.folder.genesis.read_bytes()

    def of_member(self, index: int) -> str:
        """The multiaddr of a founding member."""
        member = self.cluster.genesis.members[index]
        return format_multiaddr(member.host, member.port, peer_id(member.public_key))

    def admit(self, names: Sequence[str], *, leaves: Sequence[str] = ()) -> list[Follower]:
        """Make the folders of these followers, and add their keys; `leaves` listen nowhere."""
        ports = free_ports(len(names))
        made = [
            Follower(self.root / name, 0 if name in leaves else port)
            for name, port in zip(names, ports, strict=True)
        ]
        commands = [operation(AddPrincipal(each.name, each.public_key)) for each in made]
        assert {result.code for result in submit(self.gateway, commands)} == {"ok"}
        self.known |= {each.name: each for each in made}
        return made

    def start(
        self, group: Sequence[Follower], start: str = "", *, lies: bool = False, often: bool = False
    ) -> None:
        """Run them in one process; `start`: the peer that they ask first, node0 by default; `lies`, `often`:
        see follower_group."""
        for each in group:
            if not (each.folder / "cluster" / "follow.json").exists():
                cluster = cluster_id(self.cluster.genesis).hex()
                each.prepare(self._genesis, cluster, start or self.of_member(0))
        words = [LIES] * lies + [OFTEN] * often
        with (self.root / f"{group[0].name}.out").open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.integration.follower_group",
                    *words,
                    *(str(each.folder) for each in group),
                ],
                cwd=ROOT,
                env=environment() | {"DTVN_DATA": str(self.root / "none")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes |= {each.name: process for each in group}

    def kill(self, name: str) -> None:
        """kill -9 of the process of this follower, and of all others in it."""
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        self.processes = {each: found for each, found in self.processes.items() if found is not process}

    @property
    def running(self) -> list[Follower]:
        return [self.known[name] for name in self.processes]

    def reach(self, sequence: int, *, without: Sequence[str] = (), timeout: float = PATIENCE) -> None:
        """Wait until all that run have this sequence."""
        wanted = [each for each in self.running if each.name not in without]
        wait_until(
            lambda: all(each.sequence >= sequence for each in wanted),
            what=lambda: f"all followers at {sequence}: {self.told()}",
            timeout=timeout,
        )

    def told(self) -> str:
        """What each says of itself, for a failure's message."""
        keys = ("sequence", "source", "children", "peer_count", "state")
        lines = [f"{each.name}: { ({key: each.status().get(key) for key in keys}) }" for each in self.running]
        outputs = [path.read_text(errors="replace")[-1500:] for path in sorted(self.root.glob("*.out"))]
        return "\n".join(["", *lines, *outputs])

    def close(self) -> None:
        for process in set(self.processes.values()):
            process.kill()
            process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
