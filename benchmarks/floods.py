"""Measures the effect of a flood of requests under one gateway key on a caller under another (P15, R30), with
the hosts of `benchmarks.hosts`.

`python -m benchmarks.floods [seconds [kind ...]]` prints, for each kind of request that a gateway key can
sign, the p50 and p99 in milliseconds and the number of calls of a caller with one open call, without and
beside the flood, and the members' views at the end.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nacl import bindings

from benchmarks.hosts import MEMBERS, SECOND, Caller, Delivery, Price, Process, World, quiet_folder
from dtvn.gateway.identity import GenesisKeys
from dtvn.machine import Command, Issue, OpenSession, build
from dtvn.net import public_key_of, read_seed
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.wire import FrameSigner

PRICE = Price(250_000, 70_000)
"""Nanoseconds of a turn and of a frame, as in tests/node/test_fairness.py: that of a frame whose signature is
checked, though most of a flood's are refused unchecked at a seventh of it."""
RATE = 2_000
"""Frames a second to each node."""
RATES = {"large": 40}
"""The same of kinds whose frames are many times as large."""
TICK = 5_000_000
"""Nanoseconds between two of the flood's turns."""
KEPT = 100
"""Different frames of a kind that repeats them."""
LARGE = 500
"""Operations of a large request."""


class Flood(Process):
    """Sends frames of one kind to the nodes `at`, on a machine of its own."""

    elsewhere = True

    def __init__(self, world: World, key: Path, kind: str, at: tuple[int, ...], rate: int) -> None:
        seed = read_seed(key)
        own = public_key_of(seed)
        self._world, self._key, self._at, self._rate = world, key, at, rate
        self._name = next(p.name for p in world.genesis.principals if p.public_key == own)
        self._client = os.urandom(8)
        self._peer = Peer(self._name, None, self._client)
        secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self._signer = FrameSigner(cluster_id(world.genesis), secret, GenesisKeys(world.genesis))
        self._sent = 0
        self._frames: dict[int, Iterator[bytes]] = {}
        self.open = self._session() if kind in WITH_SESSION else m.UNOPENED
        self._frames = {node: KINDS[kind](self) for node in (at if kind in APART else at[:1])}
        self._since = self._next = world.time

    def due(self) -> int | None:
        """See Process."""
        return self._next

    def run(self) -> tuple[list[Delivery], int]:
        """See Process."""
        self._next = self._world.time + TICK
        due = (self._world.time - self._since) * self._rate // SECOND
        count, self._sent = due - self._sent, due
        said: list[Delivery] = []
        for _ in range(count):
            frames = {node: next(each) for node, each in self._frames.items()}
            said += [(node, self._peer, frames.get(node) or frames[self._at[0]]) for node in self._at]
        return said, 0

    def request(
        self,
        *commands: Command,
        session: tuple[int, int] = m.UNOPENED,
        number: int = 0,
        done_below: int = 0,
        valid: float = 60.0,
    ) -> bytes:
        """A well-signed request."""
        until = (self._world.clock.now().wall + int(valid * SECOND)) // 1_000
        operations = tuple(
            build(
                command,
                ticket="" if isinstance(command, OpenSession) else f"F-{os.urandom(8).hex()}",
                actor="flood",
                entry="node0",
                valid_until=until,
                nonce=os.urandom(8),
            )
            for command in commands or (OpenSession(),)
        )
        return self._signer.sign(
            m.Bundle(0, self._name, self._client, session, number, done_below, operations)
        )

    def executed(self, frames: list[bytes]) -> list[bytes]:
        """The same frames, after they were executed."""
        for start in range(0, len(frames), 10):
            for frame in frames[start : start + 10]:
                for node in range(MEMBERS):
                    self._world.links[node].inbox.put(self._peer, frame, self._world.time)
            self._world.go(SECOND)
        return frames

    def _session(self) -> tuple[int, int]:
        """A session of its key in which one request, number 0, was executed."""
        opener = Caller(self._world, self._key, iter([[(Issue(), f"F-{os.urandom(8).hex()}", b"")]]))
        self._world.joins(opener)
        self._world.go(10 * SECOND, done=lambda: opener.idle)
        [collector] = opener.sessions.values()
        current = collector._sessions._current
        self._world.leaves(opener)
        if current is None:
            raise RuntimeError("no session was opened")
        return current.key


def _openings(flood: Flood) -> Iterator[bytes]:
    return (flood.request() for _ in itertools.count())


def _executed_openings(flood: Flood) -> Iterator[bytes]:
    return itertools.cycle(flood.executed([flood.request() for _ in range(KEPT)]))


def _sessionless(flood: Flood) -> Iterator[bytes]:
    return (flood.request(Issue(), session=(1 << 40, 0), number=number) for number in itertools.count())


def _expired(flood: Flood) -> Iterator[bytes]:
    return (flood.request(valid=-60.0) for _ in itertools.count())


def _malformed(flood: Flood) -> Iterator[bytes]:
    return (flood.request(OpenSession(), OpenSession()) for _ in itertools.count())


def _executed(flood: Flood) -> Iterator[bytes]:
    frames = [flood.request(Issue(), session=flood.open, number=number) for number in range(1, KEPT)]
    return itertools.cycle(flood.executed(frames))


def _requests(flood: Flood, *, operations: int = 1) -> Iterator[bytes]:
    """Requests that may be executed, in order."""
    for number in itertools.count(1):
        commands = [Issue()] * operations
        done = max(0, number - 500)
        yield flood.request(*commands, session=flood.open, number=number, done_below=done)


def _large(flood: Flood) -> Iterator[bytes]:
    return _requests(flood, operations=LARGE)


KINDS: dict[str, Callable[[Flood], Iterator[bytes]]] = {
    "openings": _openings,
    "openings apart": _openings,
    "executed openings": _executed_openings,
    "executed": _executed,
    "requests": _requests,
    "large": _large,
    "sessionless": _sessionless,
    "expired": _expired,
    "malformed": _malformed,
}
WITH_SESSION = frozenset({"executed", "requests", "large"})
"""Kinds in a session of the flood's key."""
EXECUTED = frozenset({"requests", "large"})
"""Kinds that are really executed: those take their time."""
APART = frozenset({"openings apart"})
"""Kinds of which each node gets frames of its own."""


class Times(NamedTuple):
    """p50 and p99 in milliseconds of a caller's calls, and their number."""

    p50: float
    p99: float
    calls: int


def times(world: World, caller: Caller, seconds: float) -> Times:
    """The caller's calls that end within so many virtual seconds; if none does, one that took all of them."""
    first = len(caller.times)
    world.go(int(seconds * SECOND))
    found = sorted(caller.times[first:]) or [int(seconds * SECOND)]
    return Times(found[len(found) // 2] / 1e6, found[int(len(found) * 0.99)] / 1e6, len(found))


def measure(world: World, kind: str, at: Sequence[int], seconds: float) -> tuple[Times, Times]:
    """The times of a caller without and beside a flood of this kind under another key, to the nodes `at`."""
    issues = ([(Issue(), f"modest-{number}", b"")] for number in itertools.count())
    caller = world.joins(Caller(world, world.folder.gateway_key, issues))
    world.go(SECOND)
    calm = times(world, caller, seconds)
    key = world.folder.node("node3").api_key
    world.joins(Flood(world, key, kind, tuple(at), RATES.get(kind, RATE)))
    world.go(SECOND // 2)
    return calm, times(world, caller, seconds)


def views(world: World) -> list[int]:
    """The view of each member."""
    return [host.core.state.views.view for host in world._hosts]


def main(seconds: float, *kinds: str) -> None:
    """Measure these kinds, or every kind."""
    with quiet_folder() as folder:
        for number, kind in enumerate(kinds or KINDS):
            world = World(folder / f"cluster{number}", PRICE)
            calm, beside = measure(world, kind, range(MEMBERS), seconds)
            print(
                f"{kind:18} {tuple(calm)}, beside the flood {tuple(beside)}, views {views(world)}", flush=True
            )
            world.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, *sys.argv[2:])
