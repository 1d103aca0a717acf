"""The data folder: private files, one owner, clear refusals."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dtvn.node.options import StartError
from tests.disks import read_only
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder, read_json, write_private_json
from validators.data_folder.locks import RecordLock, SlotLock, lock_holder, process_lives
from validators.processes.supervisor import holders

HOLD = (
    "import sys; from pathlib import Path; from validators.data_folder.locks import SlotLock; "
    "print(SlotLock(Path(sys.argv[1])).take(), flush=True); sys.stdin.read()"
)


def hold_elsewhere(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "True"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_private_file_is_private_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    write_private_json(path, {"api_key": "x"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"api_key": "x"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "platform.json"
    path.write_text("{")
    with pytest.raises(StartError, match=r"platform\.json is damaged"):
        read_json(path)


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot write to the data folder") as refused:
        DataFolder(tmp_path / "file" / "data").create()
    assert "\n" not in str(refused.value)


def test_only_the_owner_can_open_the_folders(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.create()
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


def test_messages_of_an_earlier_run_are_cleared_from_the_broker(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    (folder.celery_queue / "1_x.nodes.msg").write_text("{}")
    (folder.celery_control / "pidbox").write_text("{}")
    folder.clear_celery()
    assert not [*folder.celery_queue.iterdir(), *folder.celery_control.iterdir()]


def test_a_missing_lock_file_has_no_holder(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "node0.lock") is None


def test_the_holder_of_a_lock_is_named_by_process_id(tmp_path: Path) -> None:
    path = tmp_path / "node0.lock"
    process = hold_elsewhere(path)
    try:
        assert lock_holder(path) == process.pid
        assert not SlotLock(path).take()
    finally:
        end(process)


def test_a_lock_ends_with_its_holder_however_that_dies(tmp_path: Path) -> None:
    path = tmp_path / "node0.lock"
    process = hold_elsewhere(path)
    end(process)
    assert lock_holder(path) is None
    assert not process_lives(process.pid)


def test_a_process_of_another_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert process_lives(os.getpid())


@pytest.mark.parametrize("name", ["web", "validators", "background", "simulator"])
def test_a_node_may_have_the_name_of_a_platform_process(tmp_path: Path, name: str) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    node = hold_elsewhere(folder.node_lock(name))
    try:
        own = SlotLock(folder.slot_lock(name))
        assert own.take(), "the node does not keep the platform's process from starting"
        assert holders(folder) == {f"nodes/{name}": node.pid}
        own.release()
    finally:
        end(node)


def test_a_node_left_running_by_an_earlier_version_is_found(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    left = hold_elsewhere(folder.slots / "node0.v2.lock")
    try:
        assert holders(folder) == {"node0.v2": left.pid}
    finally:
        end(left)


def test_asking_for_the_holder_does_not_take_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "node0.lock"
    process = hold_elsewhere(path)
    end(process)
    for _ in range(3):
        assert lock_holder(path) is None
    other = hold_elsewhere(path)
    end(other)


def test_a_second_up_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    process = hold_elsewhere(folder.lock_file)
    try:
        assert not RecordLock(folder.lock_file).take()
    finally:
        end(process)


def test_the_signing_key_is_made_once_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DTVN_SECRET_KEY", raising=False)
    environment.ensure_secret_key(tmp_path)
    first = environment.read_secret_key(tmp_path)
    environment.ensure_secret_key(tmp_path)
    assert environment.read_secret_key(tmp_path) == first
    assert stat.S_IMODE((tmp_path / environment.SECRET_KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [environment.SECRET_KEY_FILE]


def test_without_a_file_the_signing_key_is_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DTVN_SECRET_KEY", raising=False)
    assert environment.read_secret_key(tmp_path) != environment.read_secret_key(tmp_path)


def test_on_a_disk_that_became_read_only_the_holder_of_a_lock_is_known(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    folder.credentials.write_text("{}")
    process = hold_elsewhere(folder.node_lock("node0"))
    with read_only(tmp_path):
        assert lock_holder(folder.node_lock("node0")) == process.pid
        end(process)
        assert lock_holder(folder.node_lock("node0")) is None
        folder.end_credentials()
        assert folder.credentials.exists()
