"""`python -m tests.integration.greedy GENESIS KEY SESSIONS CALLS`: a client that exceeds its fair share.

A process of its own, so that it takes no time from the client that is measured. SESSIONS sessions, each with
CALLS open calls of one operation at any time; a refused call is repeated at once. Prints a line when every
session was answered once, and ends with its standard input.
"""

from __future__ import annotations

import itertools
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from dtvn.gateway import Gateway
from dtvn.machine import Issue, build
from dtvn.net import public_key_of, read_seed
from dtvn.protocol.genesis.ceremony import open_genesis


def ask(gateway: Gateway, names: Any, ending: threading.Event, answered: threading.Event) -> None:
    """One call after the other."""

    def again(done: Future[Any] | None = None) -> None:
        if done is not None:
            answered.set()
        if not ending.is_set():
            operation = build(Issue(), ticket=next(names), actor="greedy", entry="node0")
            gateway.submit([operation], wait=10.0).add_done_callback(again)

    again()


def main(genesis_file: str, key_file: str, sessions: int, calls: int) -> None:
    """Until standard input ends."""
    genesis = open_genesis(Path(genesis_file).read_bytes())
    seed = read_seed(Path(key_file))
    own = public_key_of(seed)
    principal = next(p.name for p in genesis.principals if p.public_key == own)
    ending = threading.Event()
    gateways = [
        Gateway(genesis, seed, principal=principal, bundle_operations_max=1, in_flight_max=calls)
        for _ in range(sessions)
    ]
    run = id(gateways)
    answered = [threading.Event() for _ in gateways]
    for number, gateway in enumerate(gateways):
        names = (f"greedy-{run}-{number}-{count}" for count in itertools.count())
        for _ in range(calls):
            ask(gateway, names, ending, answered[number])
    for event in answered:
        event.wait()
    sys.stdout.write("at work\n")
    sys.stdout.flush()
    sys.stdin.read()
    ending.set()
    for gateway in gateways:
        gateway.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
