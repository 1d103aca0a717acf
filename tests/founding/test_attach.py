"""A platform without a node of its own: its keys have names, and its folder starts no demonstration."""

from __future__ import annotations

from pathlib import Path

from dtvn.gateway import Gateway
from dtvn.net import read_named_seed
from dtvn.node.layout import ClusterFolder
from tests.founding.parties import Said, found
from validators.data_folder.folder import DataFolder
from validators.processes import preparation

PORTS = {"promoter": 41002, "venue": 41001}


def test_a_platform_without_a_node_gets_keys_with_names(tmp_path: Path) -> None:
    file = found(tmp_path, PORTS)[0].file
    data = tmp_path / "agency" / "data"
    attached = ("attach", file, "--data-dir", data, "--id", "agency")
    said = Said(*attached)
    assert said.code == 0, said.error
    folder = ClusterFolder(data)
    assert read_named_seed(folder.gateway_key)[1] == "agency-gateway"
    assert "principals add agency-gateway 12D3" in said.text
    assert "principals add agency-learner 12D3" in said.text
    assert Said(*attached).text == said.text, "a repetition changes nothing"
    founded, _ = preparation.ensure_cluster(DataFolder(data), None)
    assert preparation.own_members(DataFolder(data), founded) == []
    with Gateway.open(folder.genesis, folder.gateway_key) as gateway:
        assert gateway.principal == "agency-gateway"


def test_a_platform_attaches_to_one_sealed_cluster_only(tmp_path: Path) -> None:
    first = found(tmp_path / "a", PORTS)[0].file
    other = found(tmp_path / "b", PORTS)[0].file
    data = tmp_path / "data"
    assert Said("attach", first, "--data-dir", data, "--id", "agency").code == 0
    assert "belongs to another cluster" in Said("attach", other, "--data-dir", data, "--id", "agency").error
    draft = tmp_path / "draft"
    Said("init", "--name", "x", "--members", 2, "--out", draft)
    assert "not usable" in Said("attach", draft, "--data-dir", tmp_path / "c", "--id", "agency").error
    assert not (tmp_path / "c").exists()
