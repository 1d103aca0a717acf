"""What is prepared before a platform's first process starts: cluster, accounts, rows; and what refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from dtvn.protocol.quorum import Mode
from tests.founding.parties import Party, Said
from validators.data_folder.folder import DataFolder, read_json
from validators.data_folder.judging import events_config
from validators.models import ManagedNode, NodePart
from validators.processes import founding, preparation
from validators.services import api_keys

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> DataFolder:
    settings.DATA = tmp_path
    made = DataFolder(tmp_path)
    made.create()
    return made


@pytest.mark.parametrize("nodes", [0, 32])
def test_a_number_of_nodes_out_of_range_founds_nothing(nodes: int, folder: DataFolder) -> None:
    with pytest.raises(StartError, match=f"NODES={nodes} is not between 1 and 31"):
        preparation.ensure_cluster(folder, nodes)
    assert not ClusterFolder(folder.root).genesis.exists()


def test_another_number_of_nodes_is_told_and_changes_nothing(folder: DataFolder) -> None:
    founded, _ = preparation.ensure_cluster(folder, 3)
    again, remark = preparation.ensure_cluster(folder, 5)
    assert again == founded
    assert remark == "this cluster has 3 validators; NODES counts only at the first start"


@pytest.mark.parametrize("missing", ["learner_key", "gateway_key"])
def test_a_party_without_a_platform_is_refused(missing: str, folder: DataFolder) -> None:
    preparation.ensure_cluster(folder, 1)
    key = getattr(ClusterFolder(folder.root), missing)
    key.unlink()
    with pytest.raises(StartError, match=f"{key} is missing: this party joined without a platform"):
        preparation.ensure_cluster(folder, None)


def test_a_newcomer_that_has_a_key_keeps_its_row(folder: DataFolder) -> None:
    founded, _ = preparation.ensure_cluster(folder, 2)
    for position, name in enumerate(("node7", "node9"), 7):
        ManagedNode.objects.create(node_id=name, part=NodePart.JOINING, position=position)
    key = ClusterFolder(folder.root).node("node7").key
    key.parent.mkdir(parents=True)
    key.write_bytes(b"key")
    preparation.register_cluster(folder, founded, ["node0", "node1"])
    rows = ManagedNode.objects.exclude(node_id="learner").order_by("position").values_list("node_id", "part")
    assert list(rows) == [("node0", "member"), ("node1", "member"), ("node7", "joining")]


def test_the_first_account_and_key_are_made_again_where_they_are_gone(folder: DataFolder) -> None:
    first = preparation.ensure_accounts(folder)
    kept = folder.keys / "platform.json"
    assert read_json(kept) == first
    assert kept.stat().st_mode & 0o777 == 0o600
    get_user_model().objects.all().delete()
    found = api_keys.find_api_key(first["api_key"])
    assert found is not None
    found.delete()
    assert preparation.ensure_accounts(folder) == first
    assert get_user_model().objects.get().check_password(first["admin_password"])
    assert api_keys.find_api_key(first["api_key"])


def test_a_password_that_was_changed_since_stays(folder: DataFolder) -> None:
    preparation.ensure_accounts(folder)
    user = get_user_model().objects.get()
    user.set_password("another one")
    user.save()
    preparation.ensure_accounts(folder)
    assert get_user_model().objects.get().check_password("another one")


def test_damaged_accounts_are_refused(folder: DataFolder) -> None:
    (folder.keys / "platform.json").write_text("{")
    with pytest.raises(StartError, match=r"platform\.json is damaged"):
        preparation.ensure_accounts(folder)


@pytest.mark.parametrize(
    ("profile", "nodes", "mode", "said"),
    [
        ("high_security", 4, None, None),
        ("high_security", 1, None, "4 is more than the 1 members that are founded: NODES=4"),
        ("high_security", 3, Mode.RAFT, "pbft is not offered here"),
        ("large", 4, None, "raft is not offered here"),
        ("large", None, Mode.RAFT, "5 is more than the 4 members that are founded: NODES=5"),
        ("small", 3, Mode.RAFT, None),
    ],
)
def test_judging_that_the_cluster_cannot_offer_refuses_a_start(
    profile: str,
    nodes: int | None,
    mode: Mode | None,
    said: str | None,
    folder: DataFolder,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    monkeypatch.setenv("DTVN_EVENTS_CONFIG", profile)
    settings.EVENTS_CONFIG = events_config()
    if said is None:
        preparation.check_events_config(folder, nodes, mode)
        return
    with pytest.raises(StartError, match=f"^DTVN_EVENTS_CONFIG={profile}: .*{said}"):
        preparation.check_events_config(folder, nodes, mode)


def test_static_files_are_collected_again_only_after_a_change(folder: DataFolder, settings: Any) -> None:
    sources = folder.root / "sources"
    sources.mkdir()
    (sources / "one.css").write_text("a {}")
    settings.STATICFILES_DIRS, settings.STATIC_ROOT = [str(sources)], str(folder.static)
    settings.BASE_DIR = folder.root / "project"
    preparation.collect_static(folder)
    (folder.static / "one.css").unlink()
    preparation.collect_static(folder)
    assert not (folder.static / "one.css").exists(), "nothing changed"
    (sources / "one.css").write_text("a { }")
    preparation.collect_static(folder)
    assert (folder.static / "one.css").read_text() == "a { }"


def test_a_cluster_of_several_parties_is_never_moved_aside(tmp_path: Path) -> None:
    party = Party(tmp_path, "venue")
    Said("init", "--name", "x", "--members", "1", "--out", party.file)
    party.joins(41001)
    Said("seal", party.file, "--data-dir", party.data, "--without-grants")
    Said("install", party.file, "--data-dir", party.data)
    with pytest.raises(StartError, match="not made by this platform alone"):
        founding.put_aside(DataFolder(party.data))
    assert party.folder.genesis.exists()
