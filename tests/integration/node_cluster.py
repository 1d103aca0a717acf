"""Real validator processes of one cluster, started by `manage.py validator` as a person would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Self

import msgspec
import psycopg

from dtvn.gateway import Gateway, Result
from dtvn.machine import Barrier, build
from dtvn.machine.reasons import UNAVAILABLE
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.ledger_place import ledger_schema
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import Genesis, decode
from dtvn.protocol.quorum import Mode
from tests.integration import servers
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
OUTCOME_WAIT = 40.0
"""Seconds a test waits for an outcome where it does not test the waiting itself."""
ANSWER_WAIT = 10.0
"""Seconds for a node's answer about itself."""


def environment() -> dict[str, str]:
    """The environment of a plain shell: no DTVN settings, broker or database."""
    kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


HONEST = ("manage.py",)
LYING = ("-m", "tests.integration.lying_node")
"""Words after `python` that make a node."""


def validator(
    *flags: str,
    log: IO[bytes],
    settings: Mapping[str, str] | None = None,
    program: Sequence[str] = HONEST,
    enter: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """`manage.py validator` with these flags; what it prints goes to `log`. Neither metrics nor an API
    unless asked for. `enter`: words before a command on its host."""
    for served in ("-metrics-port", "-api-port"):
        if served not in flags:
            flags = (*flags, served, "0")
    return subprocess.Popen(
        [*enter, sys.executable, *program, "validator", *flags],
        cwd=ROOT,
        env=environment() | dict(settings or {}),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


class Cluster:
    """Validators as child processes. Ended by `close`, whatever happened."""

    def __init__(
        self,
        data: Path,
        n: int,
        *,
        settings: Mapping[str, str] | None = None,
        flags: Callable[[int], Sequence[str]] = lambda index: (),
        liars: Container[int] = (),
        consensus: Mode = Mode.PBFT,
    ) -> None:
        """`liars`: nodes that are of `lying_node`. `consensus`: how the cluster is founded."""
        self.data = data
        self._liars = liars
        self._flags = flags
        self._place = ExitStack()
        place = self._place.enter_context(servers.place(broker=False))
        if url := place.get("DATABASE_URL"):
            place["DTVN_STORAGE_URL"] = url  # here all nodes' ledgers are on the server under test
        self.settings = place | dict(settings or {})
        """Environment of the nodes besides the least."""
        self.folder = ClusterFolder(data)
        create_demo_cluster(data, nodes=n, host="127.0.0.1", ports=free_ports(n), consensus=consensus)
        self.genesis: Genesis = decode(self.folder.genesis.read_bytes())
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._gateways: list[Gateway] = []

    def start(self, *indices: int) -> None:
        """Start nodes (all without arguments) without waiting for them."""
        for index in indices or range(len(self.genesis.members)):
            with (self.data / f"node{index}.out").open("ab") as log:
                self.processes[index] = validator(
                    "-id",
                    f"node{index}",
                    "-data-dir",
                    str(self.data),
                    *self._flags(index),
                    log=log,
                    settings=self.settings,
                    program=LYING if index in self._liars else HONEST,
                )

    def kill(self, *indices: int) -> None:
        """kill -9, and wait until they are gone."""
        for index in indices:
            self.processes[index].kill()
        for index in indices:
            self.processes.pop(index).wait(PATIENCE)

    def stop(self, *indices: int) -> list[int]:
        """SIGTERM; their exit codes."""
        chosen = indices or tuple(self.processes)
        for index in chosen:
            self.processes[index].send_signal(signal.SIGTERM)
        codes = [self.processes[index].wait(PATIENCE) for index in chosen]
        for index in chosen:
            del self.processes[index]
        return codes

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

        wait_until(commits, what=lambda: f"the cluster commits\n{self.outputs()}")

    def outputs(self) -> str:
        """The last lines of every node, for a failure's message."""
        return "\n".join(
            f"--- node{index}\n" + "\n".join(self.output(index).splitlines()[-15:])
            for index in range(len(self.genesis.members))
            if (self.data / f"node{index}.out").exists()
        )

    def status(self, gateway: Gateway, index: int) -> dict[str, Any]:
        """A node's own status, {} when it does not answer now."""
        answer = gateway.query(index, "status", wait=ANSWER_WAIT).result(ANSWER_WAIT + 10)
        return msgspec.json.decode(answer.text) if not answer.code else {}

    def status_of(self, gateway: Gateway, index: int) -> dict[str, Any]:
        """A running node's own status; waits until it answers (links come back after a moment)."""
        return wait_until(lambda: self.status(gateway, index), what=lambda: self._no_answer(index))

    def ticket(self, gateway: Gateway, index: int, ticket: str) -> dict[str, Any]:
        """A ticket as one running node has it, {} when it has none; waits until it answers."""

        def answered() -> tuple[str, str] | None:
            question = gateway.query(index, "ticket", ["default", ticket], wait=ANSWER_WAIT)
            answer = question.result(ANSWER_WAIT + 10)
            known = not answer.code or answer.code == "ticket_not_found"
            return (answer.code, answer.text) if known else None

        found = wait_until(answered, what=lambda: self._no_answer(index))
        assert found is not None
        code, text = found
        return {} if code else msgspec.json.decode(text)

    def _no_answer(self, index: int) -> str:
        return f"node{index} answers\n{self.outputs()}"

    def settled(self, *others: Gateway) -> int:
        """Wait until every running node executed what was acknowledged through any gateway of this
        cluster (and `others`); return that sequence."""
        gateways = [*self._gateways, *others]
        target = max(gateway.acknowledged for gateway in gateways)

        def sequences() -> dict[int, int]:
            return {i: self.status(gateways[0], i).get("sequence", -1) for i in self.processes}

        wait_until(
            lambda: min(sequences().values()) >= target,
            what=lambda: f"all at {target}: {sequences()}\n{self.outputs()}",
        )
        return target

    def lose_ledger(self, index: int) -> None:
        """Take a stopped node's ledger away, wherever it is kept; identity and stamp stay."""
        for path in sorted(self.node(index).ledger.rglob("*"), reverse=True):
            path.unlink()
        if url := self.settings.get("DTVN_STORAGE_URL"):
            schema = ledger_schema(self.genesis, f"node{index}")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())

    def close(self) -> None:
        for gateway in self._gateways:
            gateway.close()
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(PATIENCE)
        self._place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def operation(command: Any, ticket: str = "", *, entry: str = "node0", nonce: bytes = b"") -> Operation:
    """One operation of this test's only actor."""
    return build(command, ticket=ticket, actor="tester", entry=entry, nonce=nonce)


def submit(
    gateway: Gateway, operations: Sequence[Operation], *, wait: float | None = None
) -> tuple[Result, ...]:
    """Their outcomes. Without a given wait it is tried again while nothing could be sent: nodes that
    a busy machine starts, or stops, for more than three seconds."""
    until = time.monotonic() + OUTCOME_WAIT
    while True:
        patience = max(1.0, until - time.monotonic()) if wait is None else wait
        future: Future[tuple[Result, ...]] = gateway.submit(operations, wait=patience)
        results = future.result(patience + 10)
        sent = any(result.code != UNAVAILABLE for result in results)
        if sent or wait is not None or time.monotonic() > until:
            return results


@contextmanager
def running_cluster(
    data: Path,
    n: int,
    *,
    settings: Mapping[str, str] | None = None,
    liars: Container[int] = (),
    consensus: Mode = Mode.PBFT,
) -> Iterator[tuple[Cluster, Gateway]]:
    """n nodes that commit, and a gateway."""
    with Cluster(data, n, settings=settings, liars=liars, consensus=consensus) as cluster:
        cluster.start()
        gateway = cluster.gateway()
        cluster.ready(gateway)
        yield cluster, gateway
