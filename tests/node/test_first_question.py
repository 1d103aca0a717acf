"""A follower's first question: the genesis of the cluster, of one peer whose key it was told."""

from __future__ import annotations

import pytest

from dtvn.net import public_key_of, read_seed
from dtvn.node.bootstrap import Place, fetch_genesis, read_place
from dtvn.node.keys import dev_seed, peer_id
from dtvn.node.options import StartError
from tests.node.running import Running
from tests.waiting import wait_until


def place_of(running: Running) -> Place:
    host, port = running.node.transport.endpoint.removeprefix("tcp://").split(":")
    key = public_key_of(read_seed(running.folder.node("node0").key))
    return read_place(f"/ip4/{host}/tcp/{port}/p2p/{peer_id(key)}")


def test_who_counts_gets_the_genesis(running: Running) -> None:
    seed = read_seed(running.folder.gateway_key)
    wait_until(lambda: running.beats, what="the node runs")
    found = fetch_genesis(seed, place_of(running), should_stop=lambda: False, say=lambda _refused: None)
    assert found == running.folder.genesis.read_bytes()


def test_who_does_not_count_is_told_that_its_key_is_refused(running: Running) -> None:
    said: list[bool] = []
    found = fetch_genesis(
        dev_seed("a stranger"), place_of(running), should_stop=lambda: bool(said), say=said.append
    )
    assert (found, said) == (None, [True])


@pytest.mark.parametrize(
    "text", ["/ip4/192.0.2.7/tcp/7", "/ip4/192.0.2.7/tcp/7/p2p/", "/ip4/192.0.2.7/tcp/7/p2p/junk", "junk"]
)
def test_a_place_without_the_key_of_its_peer_is_refused(text: str) -> None:
    with pytest.raises(StartError):
        read_place(text)
