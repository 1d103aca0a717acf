"""One node is restored beside a platform that runs, and starts it again and again meanwhile."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dtvn.node.kept_ports import rewrite_ports
from tests.backup.test_restore import _ledgers_may_be_opened, old, run  # noqa: F401 - fixtures
from validators.backup.copying import back_up
from validators.backup.forms import BackupError
from validators.backup.restoring import RestoreRequest, check, restore
from validators.backup.sources import Source
from validators.data_folder.folder import DataFolder

HOLD = (
    "import sys; from pathlib import Path; from validators.data_folder.locks import RecordLock;"
    "RecordLock(Path(sys.argv[1])).take(); print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Another process holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.communicate()


@pytest.fixture
def archive(old: Source, tmp_path: Path) -> Path:  # noqa: F811
    """Of a node whose disk is lost since; its platform's files are there."""
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    (old.root / "nodes/r0").rename(tmp_path / "lost")
    return out


@pytest.fixture
def with_ports(old: Source, tmp_path: Path) -> Path:  # noqa: F811
    """The same of a node that has more than keys: its kept ports."""
    rewrite_ports(old.places.node("r0"), metrics=1)
    back_up(old, out := tmp_path / "b.tar.gz", keys=True, ledgers=True)
    (old.root / "nodes/r0").rename(tmp_path / "lost")
    return out


def test_a_restore_that_fails_in_the_middle_leaves_the_log_alone(
    old: Source,  # noqa: F811
    with_ports: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, rename = old.places.node("r0").log, Path.rename
    log.mkdir(parents=True)

    def failing(source: Path, target: Path) -> Path:
        if target.name == "identity":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(BackupError, match="No space left on device"):
        restore(with_ports, check(with_ports), old, RestoreRequest("node", "r0"))
    assert list(log.parent.iterdir()) == [log]


def test_anything_else_in_the_nodes_folder_is_an_obstacle(old: Source, archive: Path) -> None:  # noqa: F811
    rewrite_ports(old.places.node("r0"), metrics=1)
    with pytest.raises(BackupError, match="r0 exists: move it away first"):
        restore(archive, check(archive), old, RestoreRequest("node", "r0"))


def test_a_node_that_runs_is_to_be_stopped_and_not_its_platform(old: Source, archive: Path) -> None:  # noqa: F811
    with (
        held(DataFolder(old.root).node_lock("r0")),
        pytest.raises(BackupError, match=r"r0 runs on .* \(process \d+\): stop it first\.$"),
    ):
        restore(archive, check(archive), old, RestoreRequest("node", "r0"))


def test_beside_a_running_platform_the_restored_node_is_started_there(
    old: Source,  # noqa: F811
    archive: Path,
) -> None:
    """`make up` would be refused, as it runs already."""
    with held(DataFolder(old.root).lock_file):
        said = run("restore", archive, "--data-dir", old.root, "--node", "r0")
    assert "Next: start it (in the admin, or POST /api/v1/nodes/r0/start)." in said
    assert "make up" not in said
