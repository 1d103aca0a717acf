"""`make up` in a folder that joined a cluster: no demonstration cluster is founded there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtvn.node.options import StartError
from tests.founding.parties import Party, Said
from validators.data_folder.folder import DataFolder
from validators.processes import preparation


@pytest.fixture
def joined(tmp_path: Path) -> Party:
    party = Party(tmp_path, "venue")
    Said("init", "--name", "x", "--members", "2", "--out", party.data.parent / "cup.genesis")
    assert party.joins(41001).code == 0
    return party


def test_a_folder_that_joined_founds_no_demonstration_cluster(joined: Party) -> None:
    before = sorted(joined.data.rglob("*"))
    with pytest.raises(StartError) as refused:
        preparation.ensure_cluster(DataFolder(joined.data), 4)
    assert "venue" in str(refused.value)
    assert "genesis install" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert sorted(joined.data.rglob("*")) == before


def test_a_refused_start_makes_no_secret_key_in_the_place_of_a_backups(joined: Party) -> None:
    from validators.processes.supervisor import Supervisor

    folder = DataFolder(joined.data)
    folder.create()
    refused = Supervisor(folder, host="127.0.0.1", port=0, nodes=None)
    with pytest.raises(StartError, match="genesis install"):
        refused._prepare()
    assert not (joined.data / "secret.key").exists()


def test_the_supervisor_founds_no_cluster_in_such_a_folder(joined: Party) -> None:
    from validators.processes.founding import found_cluster

    with pytest.raises(StartError, match="genesis install"):
        found_cluster(DataFolder(joined.data), ["node0"], "127.0.0.1:8080")
    assert not joined.folder.genesis.exists()


def test_an_interrupted_first_start_is_repeated(tmp_path: Path) -> None:
    """A crash before genesis was written leaves demonstration keys, which the next start uses."""
    folder = DataFolder(tmp_path / "data")
    preparation.ensure_cluster(folder, 2)
    (tmp_path / "data/cluster/genesis.bin").unlink()
    founded, _ = preparation.ensure_cluster(folder, 2)
    assert [member.id for member in founded.members] == ["node0", "node1"]
