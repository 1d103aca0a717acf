"""Nodes as processes, linked by real sockets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nacl import bindings

from tests.ports import LOOPBACK, free_ports

ROOT = Path(__file__).parents[2]


class NodeError(Exception):
    """What a node's method raised."""


class NodeProcess:
    """A node; its methods are those of its StateSynchronizer."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.name, self._told = told["name"], told
        self._begin()

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sync.node"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._say(self._told)

    def _say(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def begin(self, command: str, *given: object) -> None:
        self._say([command, *given])

    def end(self) -> Any:
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        if isinstance(answer, dict) and answer.keys() == {"error"}:
            raise NodeError(answer["error"])
        return answer

    def __call__(self, command: str, *given: object) -> Any:
        self.begin(command, *given)
        return self.end()

    def value(self, key: str) -> Any:
        found = self("get_state", key)
        return found and found["value"]

    def pause(self, *, on: bool) -> None:
        self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._ended()

    def restart(self) -> None:
        """Kill it, and begin it anew."""
        self.kill()
        self._begin()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._ended()

    def _ended(self) -> None:
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def seed_of(name: str) -> bytes:
    return name.encode().ljust(32, b".")


@contextmanager
def running(
    names: str, strangers: str = "", timeout: float = 5.0, folder: Path | None = None, **config: object
) -> Iterator[list[NodeProcess]]:
    """Nodes with one-letter names that know each other; `strangers` are listed by nobody but themselves.
    `folder`: where each keeps what it writes."""
    ports = dict(zip(names + strangers, free_ports(len(names + strangers)), strict=True))
    places = {
        name: (bindings.crypto_sign_seed_keypair(seed_of(name))[0].hex(), LOOPBACK, port)
        for name, port in ports.items()
    }
    nodes: list[NodeProcess] = []
    try:
        for name in names + strangers:
            known = {each: place for each, place in places.items() if each in names or each == name}
            told = {"name": name, "seed": seed_of(name).hex(), "places": known, "config": config}
            own = {"folder": str(folder / name)} if folder else {}
            nodes.append(NodeProcess(told | {"timeout": timeout} | own))
        for node in nodes:
            node("get_sync_status")
        yield nodes
    finally:
        for node in nodes:
            node.close()


def root(node: NodeProcess) -> str:
    return str(node("get_sync_status")["checksum"])
