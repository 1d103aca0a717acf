"""A demonstration cluster is created once, private, and completed by a later start after a crash."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dtvn.net import public_key_of, read_seed
from dtvn.node import provision
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import genesis as g

PORTS = [41001, 41002, 41003, 41004]


def test_every_member_and_principal_holds_the_key_that_genesis_names(tmp_path: Path) -> None:
    provision.create_demo_cluster(tmp_path / "data", nodes=4, host="127.0.0.1", ports=PORTS)
    folder = ClusterFolder(tmp_path / "data")
    genesis = g.decode(folder.genesis.read_bytes())
    assert [(member.id, member.port) for member in genesis.members] == list(
        zip(["node0", "node1", "node2", "node3"], PORTS, strict=True)
    )
    for member in genesis.members:
        node = folder.node(member.id)
        assert public_key_of(read_seed(node.key)) == member.public_key
        assert node.genesis.read_bytes() == folder.genesis.read_bytes()
        api = next(principal for principal in genesis.principals if principal.name == f"api-{member.id}")
        assert api.public_key == public_key_of(read_seed(node.api_key))
    *_, gateway, learner = genesis.principals
    assert gateway.public_key == public_key_of(read_seed(folder.gateway_key))
    assert {grant.capability for grant in gateway.grants} == set(g.CAPABILITIES)
    assert learner.public_key == public_key_of(read_seed(folder.learner_key))
    assert learner.grants == ()


def test_nothing_is_readable_by_others(tmp_path: Path) -> None:
    provision.create_demo_cluster(tmp_path / "data", nodes=2, host="127.0.0.1", ports=PORTS[:2])
    for path in (tmp_path / "data").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    provision.create_demo_cluster(tmp_path, nodes=4, host="127.0.0.1", ports=PORTS)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    provision.create_demo_cluster(tmp_path, nodes=7, host="127.0.0.1", ports=list(range(41001, 41008)))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_start_that_was_cut_off_is_finished_with_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_arguments: object, **_options: object) -> None:
        raise OSError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(provision, "write_private", cut)
        with pytest.raises(OSError, match="power"):
            provision.create_demo_cluster(tmp_path, nodes=4, host="127.0.0.1", ports=PORTS)
    folder = ClusterFolder(tmp_path)
    seed = read_seed(folder.node("node2").key)
    provision.create_demo_cluster(tmp_path, nodes=4, host="127.0.0.1", ports=PORTS)
    assert g.decode(folder.genesis.read_bytes()).members[2].public_key == public_key_of(seed)


@pytest.mark.parametrize("name", ["", "../node0", "a/b", ".hidden", "x" * 65])
def test_a_node_id_that_names_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="id:"):
        ClusterFolder(tmp_path).node(name)


def test_development_genesis_is_the_same_on_every_node() -> None:
    first = provision.dev_genesis(4, "127.0.0.1", lambda index: 4001 + index)
    second = provision.dev_genesis(4, "127.0.0.1", lambda index: 4001 + index)
    assert g.cluster_id(first) == g.cluster_id(second)
    assert g.cluster_id(first) != g.cluster_id(provision.dev_genesis(5, "127.0.0.1", lambda i: 4001 + i))
