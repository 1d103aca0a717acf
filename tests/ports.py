"""Ports for the networks under test: no two of one run of the tests are the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.waiting import wait_until
from validators.processes import preparation

_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on, none of them given before.

    Those of a whole network are asked for in several calls before the first node listens: chosen anew each
    time, once in some hundred networks two nodes got the same.
    """
    found: list[int] = []
    while len(found) < count:
        for port in preparation.free_ports(count - len(found)):
            if port not in _given:
                _given.add(port)
                found.append(port)
    return found


def ports_in_a_row(count: int) -> int:
    """The first of free ports that follow each other."""

    def look() -> int:
        (first,) = free_ports(1)
        row = range(first, first + count)
        if not all(port == first or (port not in _given and _is_free(port)) for port in row):
            return 0
        _given.update(row)
        return first

    return wait_until(look, what=f"{count} free ports in a row")


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """A port that somebody else has, from the moment on when whoever had it before has let go."""

    def taken() -> socket.socket | None:
        try:
            return socket.create_server((preparation.LOOPBACK, port))
        except OSError:
            return None

    listener = wait_until(taken, what=f"port {port} is free")
    assert listener is not None
    with listener:
        yield


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((preparation.LOOPBACK, port))
        except OSError:
            return False
    return True
