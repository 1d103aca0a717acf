"""Nodes of a platform get metrics ports once, and Prometheus is told where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from validators import ceremony
from validators.node.kept_ports import kept_metrics
from validators.node.layout import ClusterFolder
from validators.processes import preparation
from validators.processes.errors import StartError
from validators.processes.folder import DataFolder


def prepare(root: Path, web: str = "127.0.0.1:8080") -> list[str]:
    folder = DataFolder(root)
    folder.create()
    founded, _remark = preparation.ensure_cluster(folder, 3)
    assert founded == ceremony.open_genesis((folder.cluster / preparation.GENESIS_FILE).read_bytes())
    preparation.keep_metrics_ports(folder, founded, ["node0", "node2"], web)
    groups = json.loads((folder.prometheus / "nodes.json").read_text())
    assert [group["labels"]["node"] for group in groups] == ["node0", "node2"]
    return [group["targets"][0] for group in groups]


def test_ports_are_kept_over_starts_and_told_to_prometheus(tmp_path: Path) -> None:
    first = prepare(tmp_path)
    assert len(set(first)) == 2
    assert prepare(tmp_path, "127.0.0.1:9999") == first
    platform = json.loads((tmp_path / "prometheus" / "platform.json").read_text())
    assert platform[0]["targets"] == ["127.0.0.1:9999"]
    kept = kept_metrics(ClusterFolder(tmp_path).node("node0"))
    assert kept is not None
    assert (f"{kept.host}:{kept.port}", kept.needed) == (first[0], False)
    assert kept_metrics(ClusterFolder(tmp_path).node("node1")) is None


def test_a_damaged_file_of_ports_is_said_at_the_start(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "nodes" / "node0" / "ports.json").write_text("{")
    with pytest.raises(StartError, match=r"ports\.json cannot be read"):
        prepare(tmp_path)
