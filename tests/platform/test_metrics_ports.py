"""Nodes of a platform get metrics ports once, and Prometheus is told where."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from dtvn.node.kept_ports import kept_metrics
from dtvn.node.layout import ClusterFolder
from dtvn.node.moved import keep_address
from dtvn.node.options import StartError
from dtvn.node.provision import make_newcomer
from dtvn.protocol.genesis import ceremony
from validators.data_folder import tcp_ports
from validators.data_folder.folder import DataFolder
from validators.processes import preparation


def prepare(root: Path, web: str = "127.0.0.1:8080") -> list[str]:
    folder = DataFolder(root)
    folder.create()
    founded, _remark = preparation.ensure_cluster(folder, 3)
    assert founded == ceremony.open_genesis((folder.cluster / "genesis.bin").read_bytes())
    tcp_ports.keep_metrics_ports(folder, founded, ["node0", "node2"], web)
    groups = json.loads((folder.prometheus / "nodes.json").read_text())
    assert [group["labels"]["node"] for group in groups] == ["node0", "node2"]
    return [group["targets"][0] for group in groups]


def test_ports_are_kept_over_starts_and_written_for_prometheus(tmp_path: Path) -> None:
    first = prepare(tmp_path)
    assert len(set(first)) == 2
    assert prepare(tmp_path, "127.0.0.1:9999") == first
    platform = json.loads((tmp_path / "prometheus" / "platform.json").read_text())
    assert platform[0]["targets"] == ["127.0.0.1:9999"]
    kept = kept_metrics(ClusterFolder(tmp_path).node("node0"))
    assert kept is not None
    assert (f"{kept.host}:{kept.port}", kept.needed) == (first[0], False)
    assert kept_metrics(ClusterFolder(tmp_path).node("node1")) is None


def another_port(root: Path, metrics: list[str]) -> int:
    """A free port that no node has: the nodes do not listen here, so theirs could be drawn again."""
    founded = ceremony.open_genesis(ClusterFolder(root).genesis.read_bytes())
    theirs = {member.port for member in founded.members} | {int(one.rpartition(":")[2]) for one in metrics}
    return next(port for port in tcp_ports.choose_ports([""] * (len(theirs) + 1)) if port not in theirs)


def newcomer(root: Path, name: str) -> int:
    folder, places = DataFolder(root), ClusterFolder(root)
    founded = ceremony.open_genesis(places.genesis.read_bytes())
    make_newcomer(places.node(name), places.genesis.read_bytes())
    host, port = tcp_ports.keep_newcomer_ports(folder, founded, places.node(name))
    assert host == tcp_ports.LOOPBACK
    return port


def test_a_newcomer_listens_at_the_port_of_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = prepare(tmp_path)
    first = another_port(tmp_path, metrics)
    monkeypatch.setattr(tcp_ports, "FIRST_MEMBER_PORT", first - 4)
    assert newcomer(tmp_path, "node4") == first
    assert newcomer(tmp_path, "node4") == first, "kept"
    monkeypatch.setattr(tcp_ports, "FIRST_MEMBER_PORT", first - 5)
    assert newcomer(tmp_path, "node5") != first, "node4's, though nobody listens there now"


def test_a_newcomer_is_reached_where_the_first_member_is_now(tmp_path: Path) -> None:
    prepare(tmp_path)
    folder, places = DataFolder(tmp_path), ClusterFolder(tmp_path)
    founded = ceremony.open_genesis(places.genesis.read_bytes())
    keep_address(places.node("node0"), "venue.example", 5001, "12D3KooW")
    make_newcomer(places.node("node4"), places.genesis.read_bytes())
    host, _port = tcp_ports.keep_newcomer_ports(folder, founded, places.node("node4"))
    assert host == "venue.example"


@pytest.mark.parametrize("name", ["node6", "venue"])
def test_a_newcomer_whose_port_is_taken_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    prepare(tmp_path)
    with socket.create_server((tcp_ports.LOOPBACK, 0)) as busy:
        port = busy.getsockname()[1]
        monkeypatch.setattr(tcp_ports, "FIRST_MEMBER_PORT", port - 6)
        assert newcomer(tmp_path, name) != port
    member = ceremony.open_genesis(ClusterFolder(tmp_path).genesis.read_bytes()).members[1].port
    monkeypatch.setattr(tcp_ports, "FIRST_MEMBER_PORT", member - 7)
    assert newcomer(tmp_path, "node7") != member, "a founder's that is down"


def test_a_damaged_file_of_ports_is_reported_at_the_start(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "nodes" / "node0" / "ports.json").write_text("{")
    with pytest.raises(StartError, match=r"ports\.json cannot be read"):
        prepare(tmp_path)
