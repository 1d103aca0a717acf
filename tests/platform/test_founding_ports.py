"""Ports of a cluster that the platform founds: of each node's number, else free ones, and kept."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from dtvn.node.kept_ports import all_kept
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from dtvn.protocol.genesis.ceremony import open_genesis
from tests.ports import ports_in_a_row
from validators.data_folder.folder import DataFolder
from validators.processes import founding

pytestmark = pytest.mark.django_db


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> int:
    """A range of three free ports in place of 4001 on, which may be in use on this machine."""
    first = ports_in_a_row(3)
    monkeypatch.setattr(founding, "FIRST_MEMBER_PORT", first)
    return first


def ports(folder: DataFolder) -> list[int]:
    return [member.port for member in open_genesis(ClusterFolder(folder.root).genesis.read_bytes()).members]


def test_a_port_that_is_taken_is_replaced_and_the_choice_kept(base: int, tmp_path: Path) -> None:
    folder, names = DataFolder(tmp_path), ["node0", "node1", "node2"]
    folder.create()
    with socket.create_server(("127.0.0.1", base + 1)):
        founding.found_cluster(folder, names, "127.0.0.1:1")
        chosen = ports(folder)
        assert (chosen[0], chosen[2]) == (base, base + 2), "those of their numbers"
        assert chosen[1] not in (base, base + 1, base + 2)
    founding.found_cluster(folder, names, "127.0.0.1:1")
    assert ports(folder) == chosen, "though it is free by now"
    kept = rf"port {chosen[1]}, kept for node1 since the first start: .* in use"
    with socket.create_server(("127.0.0.1", chosen[1])), pytest.raises(StartError, match=kept):
        founding.found_cluster(folder, names, "127.0.0.1:1")


def test_a_named_range_is_enough_for_three_ports_a_node(base: int, tmp_path: Path, settings: Any) -> None:
    """Each choice knows those before it, though nothing listens there yet."""
    first = ports_in_a_row(6)
    settings.NODE_PORTS = range(first, first + 6)
    folder = DataFolder(tmp_path)
    folder.create()
    founding.found_cluster(folder, ["node0", "node1"], "127.0.0.1:1")
    nodes = [ClusterFolder(tmp_path).node(name) for name in ("node0", "node1")]
    assert {*ports(folder), *(port for node in nodes for port in all_kept(node))} == set(settings.NODE_PORTS)
