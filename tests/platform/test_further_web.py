"""`manage.py web` refuses, in one line, a folder or settings that are not those of a platform."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError, load_genesis
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol import genesis
from validators.data_folder.folder import DataFolder
from validators.models import Platform
from validators.processes.further_web import FILES, check
from validators.services.platform import fingerprint

pytestmark = pytest.mark.django_db


def make_cluster(folder: Path) -> str:
    """The id of a new cluster in the folder, in hex."""
    create_demo_cluster(folder, 1, "127.0.0.1", [4001])
    return genesis.cluster_id(load_genesis(ClusterFolder(folder).genesis)).hex()


def refusal(folder: Path) -> str:
    with pytest.raises(StartError) as refused:
        check(DataFolder(folder))
    said = str(refused.value)
    assert "\n" not in said
    return said


def test_it_needs_a_platform_broker_secret_and_the_same_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CELERY_BROKER_URL", "DTVN_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert refusal(tmp_path).startswith("no platform was started on this database")
    cluster = make_cluster(tmp_path / "up")
    Platform.objects.create(platform_id="a" * 32, cluster=cluster, host="other", folder="/data")
    assert refusal(tmp_path) == "CELERY_BROKER_URL is not set: files do not reach the workers on other"
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://cache:6379/1")
    assert refusal(tmp_path).startswith("set DTVN_SECRET_KEY as for make up, or copy its secret.key")
    (tmp_path / "secret.key").write_text("s" * 63 + "t")
    Platform.objects.update(secret_fingerprint=fingerprint("a" * 32, "s" * 64))
    assert refusal(tmp_path).startswith("the secret key is not that of the platform on other: set")
    (tmp_path / "secret.key").write_text("s" * 64)
    for name in FILES:
        assert refusal(tmp_path) == f"{tmp_path / name} is missing: copy it from /data on other"
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes((tmp_path / "up" / name).read_bytes())
    check(DataFolder(tmp_path))
    Platform.objects.update(cluster=make_cluster(tmp_path / "another"))
    assert refusal(tmp_path).startswith(f"{tmp_path} has cluster {cluster[:12]}, and the platform has ")


def test_away_from_nodes_that_listen_on_loopback_it_says_what_cannot_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of the gates' requests through a proxy got "No quorum: 0 of 4 reachable"."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://cache:6379/1")
    monkeypatch.setenv("DTVN_SECRET_KEY", "s" * 64)
    cluster = make_cluster(tmp_path)
    Platform.objects.create(platform_id="a" * 32, cluster=cluster, host="other", folder="/data")
    check(DataFolder(tmp_path))
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("the nodes listen at 127.0.0.1 of other: ")
    Platform.objects.update(host=os.uname().nodename)
    check(DataFolder(tmp_path))
    assert len(caplog.records) == 1


def test_before_the_first_make_up_the_start_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Platform._meta, "db_table", "not_made_yet")
    assert "run make up first" in refusal(tmp_path)


def test_on_the_folder_of_the_platform_it_needs_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    Platform.objects.create(platform_id="a" * 32, host=os.uname().nodename, folder=str(tmp_path))
    check(DataFolder(tmp_path))
    monkeypatch.setenv("DTVN_SECRET_KEY", "t" * 64)
    Platform.objects.update(secret_fingerprint=fingerprint("a" * 32, "s" * 64))
    assert "s" * 9 not in refusal(tmp_path)
