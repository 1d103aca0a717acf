"""The links of a gateway."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from dtvn.net import Dialler
from dtvn.node.keys import dev_seed
from dtvn.node.provision import dev_genesis
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.genesis import Genesis
from tests.golden import Compare
from tests.net.linking import bulk, counted, key_of, vote
from tests.net.wires import FOR_EVER, UP, Wires

GOLDEN = Path(__file__).parent / "golden"


def test_links_of_a_gateway(golden: Compare, wires: Wires) -> None:
    genesis = dev_genesis(3, "192.0.2.9", lambda index: 7_000 + index)
    dialler = Dialler(
        wires,  # type: ignore[arg-type]
        genesis,
        dev_seed("gateway"),
        hello=Hello(b"client-1"),
        addresses={1: ("2001:db8::1", 1)},
    )
    sockets = [wires.made[f"dealer#{number}"] for number in (1, 2, 3)]

    def poll() -> None:
        frames = dialler.poll(20)
        wires.say(f"= {[(index, wires.shown(frame)) for index, frame in frames]}")

    def tell() -> None:
        wires.say(f"  connected {sorted(dialler.connected())}")
        for index, counters in dialler.counters().items():
            wires.say(f"  {index}: {counted(counters)}")

    poll()
    wires.say(f"sent {dialler.send(0, bulk('too early'))}")
    for index in (0, 2):
        sockets[index].happens(UP)
    poll()
    sockets[2].room = 0
    for index in range(3):
        wires.say(f"sent to {index}: {dialler.send(index, bulk(f'for {index}'))}")
    for index in (2, 0):
        sockets[index].gets(bulk(f"of {index}"))
        sockets[index].gets(vote(f"of {index}"))
    poll()
    sockets[2].room = FOR_EVER
    poll()
    tell()
    wires.chapter("It is woken")
    for _time in range(2):
        dialler.wake()
    poll()
    poll()
    _gateway_in_another_epoch(wires, dialler, genesis)
    poll()
    tell()
    counters = dialler.counters()
    counters[0].connects += 9
    wires.say(f"copies: {dialler.counters()[0].connects != counters[0].connects}")
    for seconds in (1.1, 5.0, 1.0, 4.1, 4.9, 0.2, 0.9):
        wires.pass_seconds(seconds)
        poll()
    dialler.close()
    golden(GOLDEN / "links-of-a-gateway.txt", wires.text)


def _gateway_in_another_epoch(wires: Wires, dialler: Dialler, genesis: Genesis) -> None:
    wires.chapter("Another epoch: one left, one moved, one came")
    members = (
        replace(genesis.members[2], port=7_777),
        genesis.members[1],
        replace(genesis.members[0], id="node3", public_key=key_of("node3")),
    )
    dialler.follow(replace(genesis, members=members), {1: ("2001:db8::1", 1)})
