"""The platform's copy of the log is verified against what its log leads to, or removed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import genesis as g
from tests.proof.continuing import keep, old_log
from validators.backup.forms import BackupError
from validators.backup.learner import remove, verify
from validators.backup.sources import Source
from validators.ledger.lock import FileLock


@pytest.fixture(autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def platform(tmp_path: Path) -> Source:
    """A platform whose copy ends at 12, with a checkpoint at 10."""
    log = old_log(12)
    keep(log, tmp_path / "data", stable=10)
    folder = ClusterFolder(tmp_path / "data")
    write_private(folder.genesis, g.encode(log.genesis))
    shutil.copytree(folder.node("r0").ledger, folder.learner)
    return Source(folder.root)


def test_a_good_copy_is_verified_up_to_its_rows(platform: Source) -> None:
    assert verify(platform) == (12, 10)
    assert sorted(path.name for path in platform.root.iterdir()) == ["cluster", "keys", "learner", "nodes"]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM ledger_ticket WHERE ticket_id = 'TICKET-1'",
        "UPDATE ledger_consensusentry SET timestamp = timestamp + 1 WHERE sequence = 5",
        "DELETE FROM ledger_consensusentry WHERE sequence = 5",
        "UPDATE ledger_checkpoint SET state_root = zeroblob(32)",
    ],
)
def test_a_changed_copy_is_found(platform: Source, sql: str) -> None:
    with sqlite3.connect(platform.places.learner / "ledger.sqlite3") as ledger:
        assert ledger.execute(sql).rowcount
    with pytest.raises(BackupError):
        verify(platform)


def test_a_copy_in_use_is_not_removed(platform: Source) -> None:
    lock = FileLock(platform.places.learner)
    with pytest.raises(BackupError, match="Stop the platform first"):
        remove(platform)
    lock.close()
    assert (platform.places.learner / "ledger.sqlite3").exists()


def test_only_the_copy_itself_is_removed(platform: Source) -> None:
    (platform.places.learner / "sources.bin").touch()
    remove(platform)
    assert {path.name for path in platform.places.learner.iterdir()} == {"sources.bin", "ledger.lock"}
    assert (platform.places.node("r0").ledger / "ledger.sqlite3").exists()


@pytest.mark.parametrize("work", [verify, remove])
def test_another_kind_of_database_than_the_platforms_is_refused(
    platform: Source, work: Callable[[Source], object]
) -> None:
    (platform.root / "platform").mkdir()
    (platform.root / "platform/database").write_text("server\n")
    with pytest.raises(BackupError, match="uses a database on a server: set DATABASE_URL"):
        work(platform)


@pytest.mark.parametrize("name", ["database", "identity"])
def test_a_file_of_the_platform_that_cannot_be_read_is_named(platform: Source, name: str) -> None:
    (platform.root / "platform").mkdir()
    (platform.root / "platform" / name).write_bytes(b"\xff\n")
    served = Source(platform.root, "postgresql://dtvn@127.0.0.1:9/dtvn")
    with pytest.raises(BackupError, match=f"platform/{name} cannot be read"):
        served.check_database()


def test_a_copy_that_is_not_there_is_not_removed(platform: Source) -> None:
    (platform.places.learner / "ledger.sqlite3").unlink()
    turns = platform.places.learner / "ledger.turns"
    assert turns.exists()
    with pytest.raises(BackupError, match="holds no copy of the log"):
        remove(platform)
    assert turns.exists()
