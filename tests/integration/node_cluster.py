"""Real validator processes of one cluster, started by `manage.py validator` as a person would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from tests.waiting import wait_until
from tickets.machine import Barrier, build
from validators.consensus.messages import Operation
from validators.gateway.client import Gateway, valid_until
from validators.gateway.collector import Result
from validators.genesis import Genesis, decode
from validators.node.layout import ClusterFolder, NodeFolder
from validators.node.provision import create_demo_cluster

ROOT = Path(__file__).resolve().parent.parent.parent
START_TIMEOUT = 60.0


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def environment() -> dict[str, str]:
    """As little as a person's shell: no settings of ours, no broker, no database."""
    kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def validator(
    *flags: str, log: IO[bytes], settings: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """`manage.py validator` with these flags; what it prints goes to `log`."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "validator", *flags],
        cwd=ROOT,
        env=environment() | dict(settings or {}),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


class Cluster:
    """Validators as child processes. Ended by `close`, whatever happened."""

    def __init__(self, data: Path, n: int, *, settings: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.settings = dict(settings or {})
        """Environment of the nodes besides the least."""
        self.folder = ClusterFolder(data)
        create_demo_cluster(data, nodes=n, host="127.0.0.1", ports=free_ports(n))
        self.genesis: Genesis = decode(self.folder.genesis.read_bytes())
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._gateways: list[Gateway] = []

    def start(self, *indices: int) -> None:
        """Start nodes (all without arguments) without waiting for them."""
        for index in indices or range(len(self.genesis.members)):
            with (self.data / f"node{index}.out").open("ab") as log:
                self.processes[index] = validator(
                    "-id", f"node{index}", "-data-dir", str(self.data), log=log, settings=self.settings
                )

    def kill(self, *indices: int) -> None:
        """kill -9, and wait until they are gone."""
        for index in indices:
            self.processes[index].kill()
        for index in indices:
            self.processes.pop(index).wait(10)

    def stop(self, *indices: int) -> list[int]:
        """SIGTERM; their exit codes."""
        chosen = indices or tuple(self.processes)
        for index in chosen:
            self.processes[index].send_signal(signal.SIGTERM)
        return [self.processes.pop(index).wait(15) for index in chosen]

    def node(self, index: int) -> NodeFolder:
        return self.folder.node(f"node{index}")

    def output(self, index: int) -> str:
        """What a node printed in all its lives."""
        return (self.data / f"node{index}.out").read_text(encoding="utf-8", errors="replace")

    def gateway(self) -> Gateway:
        """A gateway of this process; closed with the cluster."""
        gateway = Gateway.open(self.folder.genesis, self.folder.gateway_key, principal="gateway")
        self._gateways.append(gateway)
        return gateway

    def ready(self, gateway: Gateway) -> None:
        """Wait until the cluster commits."""

        def commits() -> bool:
            return submit(gateway, [operation(Barrier())], wait=2.0)[0].code == "ok"

        wait_until(commits, timeout=START_TIMEOUT, what=f"the cluster commits\n{self.outputs()}")

    def outputs(self) -> str:
        """The last lines of every node, for a failure's message."""
        return "\n".join(
            f"--- node{index}\n" + "\n".join(self.output(index).splitlines()[-15:])
            for index in range(len(self.genesis.members))
            if (self.data / f"node{index}.out").exists()
        )

    def status(self, gateway: Gateway, index: int) -> dict[str, Any]:
        """A node's own status, {} when it does not answer."""
        answer = gateway.query(index, "status").result(10)
        return msgspec.json.decode(answer.text) if not answer.code else {}

    def ticket(self, gateway: Gateway, index: int, ticket: str) -> dict[str, Any]:
        """A ticket as one node has it, {} when it does not answer or has none."""
        answer = gateway.query(index, "ticket", ["default", ticket]).result(10)
        return msgspec.json.decode(answer.text) if not answer.code else {}

    def settled(self, gateway: Gateway) -> int:
        """Wait until every running node executed what was acknowledged; return that sequence."""
        target = gateway.acknowledged

        def all_there() -> bool:
            return all(self.status(gateway, i).get("sequence", -1) >= target for i in self.processes)

        wait_until(all_there, timeout=30, what=f"all at {target}\n{self.outputs()}")
        return target

    def close(self) -> None:
        for gateway in self._gateways:
            gateway.close()
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def operation(command: Any, ticket: str = "", *, entry: str = "node0", nonce: bytes = b"") -> Operation:
    """One operation of this test's only actor."""
    return build(command, ticket=ticket, actor="tester", entry=entry, valid_until=valid_until(), nonce=nonce)


def submit(gateway: Gateway, operations: Sequence[Operation], *, wait: float = 9.0) -> tuple[Result, ...]:
    future: Future[tuple[Result, ...]] = gateway.submit(operations, wait=wait)
    return future.result(wait + 10)


@contextmanager
def running_cluster(
    data: Path, n: int, *, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Cluster, Gateway]]:
    """n nodes that commit, and a gateway."""
    with Cluster(data, n, settings=settings) as cluster:
        cluster.start()
        gateway = cluster.gateway()
        cluster.ready(gateway)
        yield cluster, gateway
