"""The lease of a platform on its database: whose it is, who is refused, and when it is free again."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from dtvn.node.options import StartError
from validators.data_folder.folder import DataFolder
from validators.models import Platform
from validators.processes import platform_lease
from validators.processes.platform_lease import PlatformLease, is_gone, this_process
from validators.services.platform import NODES, own_queue

pytestmark = pytest.mark.django_db
LEASE = timedelta(hours=1)
"""Longer than any stall of this machine."""


@pytest.fixture(autouse=True)
def long_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform_lease, "LEASE", LEASE)
    monkeypatch.setattr(platform_lease, "RENEW_INTERVAL", LEASE.total_seconds())  # a test renews itself


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = DataFolder(tmp_path)
    made.create()
    return made


@pytest.fixture
def first(folder: DataFolder) -> Iterator[PlatformLease]:
    lease = PlatformLease(folder)
    lease.take()
    yield lease
    lease.release()


def process_of_child() -> str:
    """What a process that ran here, and has ended, called itself."""
    code = "from validators.processes.platform_lease import this_process as t; print(t())"
    settings = {"DJANGO_SETTINGS_MODULE": "dtvn_project.settings"}
    code = f"import django; django.setup(); {code}"
    return subprocess.check_output([sys.executable, "-c", code], env=os.environ | settings, text=True).strip()


def age(by: timedelta) -> None:
    assert Platform.objects.update(renewed_at=Now() - by) == 1


def test_folder_and_database_get_one_identity(first: PlatformLease, folder: DataFolder) -> None:
    row = Platform.objects.get()
    assert folder.identity.read_text().strip() == row.platform_id == first.platform_id
    assert len(row.platform_id) == 32
    assert (row.host, row.folder) == (os.uname().nodename, str(folder.root)), (
        "where a refused run sends people"
    )
    assert row.process == this_process()
    assert stat.S_IMODE(folder.identity.stat().st_mode) == 0o600
    assert own_queue(NODES) == f"dtvn.{row.platform_id[:12]}.nodes"


def test_a_note_that_cannot_be_read_is_named_before_the_lease_is_taken(
    first: PlatformLease, folder: DataFolder
) -> None:
    first.release()
    folder.database_note.write_bytes(b"\xff\n")
    with pytest.raises(StartError, match=r"platform/database cannot be read: .*$"):
        PlatformLease(folder).take()
    assert Platform.objects.get().run == ""


def test_a_start_that_lacks_the_platforms_server_is_refused(first: PlatformLease, folder: DataFolder) -> None:
    """It would begin with an empty database beside the one on the server."""
    first.release()
    folder.database_note.write_text("server\n")
    with pytest.raises(StartError, match=r"^this platform's database is on a server: set DATABASE_URL"):
        PlatformLease(folder).take()


def test_a_second_run_is_refused_while_the_first_lives(first: PlatformLease, folder: DataFolder) -> None:
    with pytest.raises(StartError, match=f"^this platform runs on {os.uname().nodename} with"):
        PlatformLease(folder).take()
    first.renew()
    assert first.lost == ""


def test_a_lease_that_is_not_renewed_is_taken_and_its_run_ends(
    first: PlatformLease, folder: DataFolder
) -> None:
    age(LEASE - timedelta(minutes=5))
    with pytest.raises(StartError):
        PlatformLease(folder).take()
    age(LEASE + timedelta(seconds=1))
    second = PlatformLease(folder)
    second.take()
    first.renew()
    assert "belongs to another run" in first.lost
    first.release()
    second.renew()
    assert second.lost == ""
    second.release()


def renewed_in_the_future() -> None:
    """In the form in which SQLite's own clock writes it: with three digits of the second."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE validators_platform SET renewed_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '+2 hours')"
        )


def test_a_lease_from_the_future_is_taken_unless_it_is_renewed(
    first: PlatformLease, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed_in_the_future()
    refused = PlatformLease(folder)
    monkeypatch.setattr(refused._ended, "wait", lambda *_: first.renew())
    with pytest.raises(StartError):
        refused.take()
    renewed_in_the_future()
    monkeypatch.setattr(platform_lease, "RENEW_INTERVAL", 0.01)
    second = PlatformLease(folder)
    second.take()
    second.release()
    first.renew()
    assert first.lost


def test_a_lease_from_the_future_that_another_run_took_meanwhile_is_refused(
    first: PlatformLease, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> None:
        Platform.objects.update(run="another")

    renewed_in_the_future()
    refused = PlatformLease(folder)
    monkeypatch.setattr(refused._ended, "wait", taken)
    with pytest.raises(StartError):
        refused.take()
    assert Platform.objects.get().run == "another"


def test_the_lease_of_a_killed_run_is_free_at_once_on_its_host(
    first: PlatformLease, folder: DataFolder
) -> None:
    Platform.objects.update(process=process_of_child())
    second = PlatformLease(folder)
    second.take()
    second.release()


def test_the_lease_of_a_killed_run_on_another_host_ends_by_time(
    first: PlatformLease, folder: DataFolder
) -> None:
    Platform.objects.update(process=f"other-boot {process_of_child()}", host="other")
    with pytest.raises(StartError, match=r"runs on other with .* was killed, try again in 3600 s$"):
        PlatformLease(folder).take()


def test_a_process_is_known_by_its_start_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are used again, and each container has its own."""
    mine = this_process()
    place, _, _ = mine.partition(" started ")
    assert not is_gone(mine)
    assert not is_gone("")
    assert is_gone(f"{place} started {os.getpid()} 1")
    assert not is_gone(f"pid:[1] started {os.getpid()} 1")
    assert is_gone(process_of_child())
    monkeypatch.setattr(platform_lease, "_process_ids_of", lambda: "")
    assert not is_gone(process_of_child())
    assert this_process() == ""


def test_a_database_file_moved_to_another_folder_keeps_its_identity(
    first: PlatformLease, folder: DataFolder
) -> None:
    first.release()
    folder.identity.unlink()
    second = PlatformLease(folder)
    second.take()
    second.release()
    assert folder.identity.read_text().strip() == first.platform_id
