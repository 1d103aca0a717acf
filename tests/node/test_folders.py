"""What an operator reads about the folders of nodes, clusters and followers."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.net import public_key_of
from dtvn.node.follower import follower_options
from dtvn.node.following import Following, check_folder, following_in, keep_following, pin
from dtvn.node.keys import dev_seed, peer_id
from dtvn.node.layout import ClusterFolder, is_node_id, why_not_joins_as
from dtvn.node.ledger_place import keep_server, ledger_schema, own_server, warn_of_neighbours
from dtvn.node.options import StartError, genesis_in
from dtvn.node.provision import create_demo_cluster, dev_genesis
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import founding

START = f"/ip4/192.0.2.7/tcp/7/p2p/{peer_id(public_key_of(dev_seed('node0')))}"
GENESIS, OTHER = (g.encode(dev_genesis(count, "192.0.2.9", lambda at: at + 1)) for count in (2, 3))


def test_a_folder_follows_one_cluster(tmp_path: Path) -> None:
    assert following_in(tmp_path) is None
    ClusterFolder(tmp_path).create()
    keep_following(tmp_path, Following(START, listen="192.0.2.8:8"))
    with pytest.raises(StartError, match="holds no follower"):
        follower_options(tmp_path)
    with pytest.raises(StartError, match="not abc: --from or --cluster is wrong"):
        pin(tmp_path, Following(START), GENESIS, "abc")
    own = g.cluster_id(g.decode(GENESIS)).hex()
    pinned = pin(tmp_path, Following(START, listen="192.0.2.8:8"), GENESIS, own[:8].upper())
    assert following_in(tmp_path) == pinned
    assert (pinned.cluster, ClusterFolder(tmp_path).genesis.read_bytes()) == (own, GENESIS)
    with pytest.raises(
        StartError, match=f"follows {own}: give the follower of another cluster another folder"
    ):
        pin(tmp_path, pinned, OTHER, "")
    assert follower_options(tmp_path).listen == ("192.0.2.8", 8)


def test_a_follower_has_a_folder_of_its_own(tmp_path: Path) -> None:
    check_folder(tmp_path)
    ClusterFolder(tmp_path).create()
    keep_following(tmp_path, Following(START))
    check_folder(tmp_path)
    create_demo_cluster(tmp_path / "demo", 1, "192.0.2.9", [1])
    with pytest.raises(StartError, match="holds a platform or a node"):
        check_folder(tmp_path / "demo")
    (tmp_path / "cluster" / "follow.json").write_text("{")
    with pytest.raises(StartError, match="cannot be read"):
        check_folder(tmp_path)


def test_names_that_no_new_node_can_have() -> None:
    for name in ("a", "A-1._x", "a" * 60):
        assert (is_node_id(name), why_not_joins_as(name)) == (True, "")
    for name in ("", ".a", "-a", "é", "a/b", "a" * 65):
        assert not is_node_id(name)
        assert "with a letter or digit first" in why_not_joins_as(name, made_here=False)
    assert why_not_joins_as("a" * 64, made_here=False) == ""
    assert "must be 1 to 60" in why_not_joins_as("a" * 61), "its API's name is longer"
    for name in ("api-x", "preview", "gateway", "learner"):
        assert "reserved for parts of the network" in why_not_joins_as(name)


def test_a_node_that_a_folder_does_not_hold_is_named_beside_those_it_holds(tmp_path: Path) -> None:
    create_demo_cluster(tmp_path, 2, "192.0.2.9", [1, 2], names=("seller", "venue"))
    folder = ClusterFolder(tmp_path)
    assert genesis_in(folder, "") == folder.genesis
    assert genesis_in(folder, "venue").exists()
    folder.node("venue").genesis.unlink()
    assert genesis_in(folder, "venue") == folder.node("venue").genesis, "its place, though it is lost"
    for name, why in (
        ("nobody", "holds no node nobody, but seller, venue"),
        ("a b", "'a b' is not a valid node name"),
    ):
        with pytest.raises(StartError, match=why):
            genesis_in(folder, name)
    with pytest.raises(StartError, match="holds no cluster"):
        genesis_in(ClusterFolder(tmp_path / "none"), "")
    folder.genesis.unlink()
    with pytest.raises(StartError, match="holds no platform, but seller, venue"):
        genesis_in(folder, "")


def test_the_server_of_a_ledger_is_kept_until_it_is_another(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path).node("node0")
    folder.create()
    for url in ("postgresql://here", ""):
        keep_server(folder, url)
        assert own_server(folder) == url
    folder.ledger_url.write_bytes(b"\xff")
    with pytest.raises(StartError, match="cannot be read"):
        own_server(folder)


def test_members_whose_ledgers_fail_together_are_named(caplog: pytest.LogCaptureFixture) -> None:
    genesis = g.decode(OTHER)
    neighbour = ledger_schema(genesis, "node2")
    ledger: Any = SimpleNamespace(on_same_server=lambda names: [each for each in names if each == neighbour])
    warn_of_neighbours(ledger, genesis, founding(genesis), "node0", logging.getLogger("told"))
    assert "the ledgers of node0, node2 are on one server: they fail together with it" in caplog.text
