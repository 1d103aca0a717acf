"""One member floods at ten times an honest rate: the others' clients hardly notice (PITFALLS row 15)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from tests.integration.node_cluster import Cluster, operation, running_cluster, submit
from tests.integration.test_node_attacks import Actor
from tickets.machine import Issue
from validators.consensus import messages as m
from validators.gateway.client import Gateway
from validators.wire import link_frame

pytestmark = pytest.mark.integration

FRAMES_PER_SECOND = 3_000
"""An honest member sends one node about 300 frames a second under this test's load."""

TURNS = 3
LEAST_SHARE = 0.5
"""Of the rate without a flood. 0.8 is the aim and what a quiet machine shows; the flood is made on the
same cores, and shared machines are noisy."""


class Flood(threading.Thread):
    """Well-signed and unsigned frames that an honest member could send, ten times as many."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(daemon=True)
        self._actor = actor
        self.active = threading.Event()
        self.ending = threading.Event()
        self.sent = 0
        status = [m.Status(0, 3, 0, False, 0, 0, 0, (number,), True) for number in range(1, 200)]
        votes = [m.Prepare(0, 3, 0, 10_000 + number, bytes(32)) for number in range(200)]
        self._frames = [actor.seal(one) for pair in zip(status, votes, strict=False) for one in pair]
        self._frames += [link_frame(m.FetchEntries(epoch=0, first=1, last=256))] * 20
        self._frames += [link_frame(m.FetchBatch(digest=bytes([number]) * 32)) for number in range(200)]

    def run(self) -> None:
        while not self.ending.is_set():
            if not self.active.wait(0.05):
                self._actor.dialler.poll(0)
                continue
            begun = time.monotonic()
            for _ in range(FRAMES_PER_SECOND // 100):
                self._actor.dialler.send(0, self._frames[self.sent % len(self._frames)])
                self.sent += 1
            self._actor.dialler.poll(0)
            self.ending.wait(max(0.0, 0.01 - (time.monotonic() - begun)))
        self._actor.dialler.close()


@contextmanager
def flooding(actor: Actor) -> Iterator[Flood]:
    flood = Flood(actor)
    flood.start()
    try:
        yield flood
    finally:
        flood.ending.set()
        flood.join()


def rate(gateway: Gateway, label: str, *, seconds: float = 4.0, clients: int = 8) -> float:
    """Operations a second that `clients` get done, each waiting for its answer."""
    done = [0] * clients
    surprises: list[str] = []
    deadline = time.monotonic() + seconds

    def client(place: int) -> None:
        while time.monotonic() < deadline:
            [issued] = submit(gateway, [operation(Issue(), f"{label}-{place}-{done[place]}")])
            if issued.code != "ok":
                surprises.append(issued.code)
            done[place] += 1

    threads = [threading.Thread(target=client, args=(place,)) for place in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert surprises == []
    return sum(done) / seconds


def test_pitfall_15_a_flood_of_one_member_does_not_starve_clients(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        cluster.kill(3)
        with flooding(Actor(cluster, context, "node3")) as flood:
            seen = [compare(cluster, gateway, flood, turn) for turn in range(TURNS)]
            refused = cluster.status_of(gateway, 0)["refused"]
        assert flood.sent > FRAMES_PER_SECOND
        assert max(share for share, _stayed in seen) >= LEAST_SHARE, (seen, refused)
        assert any(stayed for _share, stayed in seen), "a flood does not depose the primary"
    context.destroy(linger=0)


def compare(cluster: Cluster, gateway: Gateway, flood: Flood, turn: int) -> tuple[float, bool]:
    """The rate under a flood as a share of the rate without, and whether the view stayed meanwhile."""
    flood.active.clear()
    calm = rate(gateway, f"calm{turn}")
    view = cluster.status_of(gateway, 0)["view"]
    flood.active.set()
    flooded = rate(gateway, f"flood{turn}")
    return flooded / calm, cluster.status_of(gateway, 0)["view"] == view
