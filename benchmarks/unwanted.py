"""Measures callers' rate while one member sends useless messages (P15, decisions 0155, 0156).

It uses the world of `benchmarks.hosts`, whose virtual time is driven by processor time. The last member
takes part, and also sends each of the others messages of 256 validly signed votes far outside the window.

`python -m benchmarks.unwanted [messages a second]` prints a caller's rate without and with these messages.
"""

from __future__ import annotations

import sys

from nacl import bindings

from benchmarks.fairness import OUTSIDE, modest
from benchmarks.hosts import MEMBERS, SECOND, Caller, World, quiet_folder
from dtvn.gateway.identity import GenesisKeys
from dtvn.net import read_seed
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.wire import FrameSigner, link_frame

LIAR = MEMBERS - 1
EACH = 256
TURNS = 4
FAR = 100_000


def messages(world: World) -> list[bytes]:
    """Several different messages, each with EACH votes outside the window."""
    seed = read_seed(world.folder.node(world.genesis.members[LIAR].id).key)
    secret = bindings.crypto_sign_seed_keypair(seed)[1]
    signer = FrameSigner(cluster_id(world.genesis), secret, GenesisKeys(world.genesis))
    votes = [signer.sign(m.Prepare(0, LIAR, 0, FAR + number, bytes(32))) for number in range(4 * EACH)]
    return [link_frame(m.SupplyFrames(tuple(votes[i : i + EACH]))) for i in range(0, len(votes), EACH)]


def done(world: World, caller: Caller, frames: list[bytes], per_second: int) -> int:
    """Number of operations completed in a second in which `per_second` messages arrive, evenly spread."""
    before = len(caller.times)
    for number in range(per_second):
        for links in world.links[:LIAR]:
            links.inbox.put(world.peers[LIAR], frames[number % len(frames)], world.time)
        world.go(SECOND // per_second)
    if not per_second:
        world.go(SECOND)
    return len(caller.times) - before


def main(per_second: int) -> None:
    """Measure alternate seconds without and with messages, and print the rates."""
    with quiet_folder() as folder:
        world = World(folder / "cluster", OUTSIDE)
        caller = modest(world)
        frames = messages(world)
        world.go(SECOND)
        calm = flooded = 0
        for _ in range(TURNS):
            calm += done(world, caller, frames, 0)
            flooded += done(world, caller, frames, per_second)
        print(
            f"{per_second} messages of {EACH} unwanted votes a second leave {flooded / calm:.0%}: "
            f"{flooded / TURNS:.0f} operations a second instead of {calm / TURNS:.0f}"
        )
        world.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 90)
