"""Ports for the networks under test. Each worker of a run has ports of its own, so that no two tests that run
at once choose the same."""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.waiting import wait_until

LOOPBACK = "127.0.0.1"
FIRST, LAST = 10_000, 32_767
"""Below those that the kernel gives to outgoing connections."""
BLOCK = 64
"""Ports from which one network chooses those of its nodes."""


def _of_this_worker() -> range:
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (LAST + 1 - FIRST) // count
    return range(FIRST + number * size, FIRST + (number + 1) * size)


def _from_anywhere(ports: range) -> Iterator[int]:
    """All of them, over and over, beginning where another run beside this one hardly does."""
    begin = random.SystemRandom().randrange(len(ports))
    return itertools.cycle([*ports[begin:], *ports[:begin]])


_mine = _of_this_worker()
_singles = _from_anywhere(_mine[: len(_mine) // 2])
_blocks = _from_anywhere(_mine[len(_mine) // 2 : -BLOCK : BLOCK])


def free_ports(count: int) -> list[int]:
    """Loopback ports on which nothing listens, none of them given in the last thousands."""
    return list(itertools.islice(filter(_is_free, _singles), count))


def ports_in_a_row(count: int) -> int:
    """The first of `count` free ports that follow each other."""
    row = free_ports(count)
    while row[-1] - row[0] != count - 1:
        row = [*row[1:], *free_ports(1)]
    return row[0]


def block_of_ports() -> str:
    """FIRST-LAST: where one network chooses the ports of its nodes (`DTVN_NODE_PORTS`)."""
    first = next(_blocks)
    return f"{first}-{first + BLOCK - 1}"


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Bind a port as another program would, as soon as its previous user has released it."""

    def taken() -> socket.socket | None:
        try:
            return socket.create_server((LOOPBACK, port))
        except OSError:
            return None

    listener = wait_until(taken, what=f"port {port} is free")
    assert listener is not None
    with listener:
        yield


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
