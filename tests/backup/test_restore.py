"""A backup of a data folder, and what a restored node may and may not do (R11)."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from dtvn.files.epoch_changes import encode_epoch_changes
from dtvn.files.whole import sync_folder, write_private
from dtvn.node.moved import keep_address
from dtvn.node.options import StartError
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import EPOCH
from dtvn.protocol.consensus.effects import CheckpointRecord, StateRecord
from dtvn.protocol.consensus.membership import Membership
from tests.backup.sources import source_with_keys
from tests.disks import read_only
from tests.ports import free_ports
from tests.proof.continuing import old_log
from validators.backup import archive, copying, covering, restoring
from validators.backup.archive import Writer, extract
from validators.backup.copying import back_up
from validators.backup.covering import _certified, cover
from validators.backup.forms import BackupError, Manifest
from validators.backup.restoring import RestoreRequest, check, restore
from validators.backup.sources import Source
from validators.data_folder.folder import DataFolder
from validators.ledger import open_ledger
from validators.management.commands.backup import new_name
from validators.management.commands.restore import advice
from validators.processes.platform_lease import PlatformLease

LEDGER = "nodes/r0/ledger/ledger.sqlite3"
NEVER = ("identity/next.key", "identity/recovery.key", "identity/alive.bin")


@pytest.fixture(autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def old(tmp_path: Path) -> Source:
    """With the keys of a rotation under way."""
    secrets = ("identity/node.key", "identity/api.key", "identity/api.token", *NEVER)
    return source_with_keys(tmp_path / "old", secrets)


@pytest.mark.parametrize("place", ["missing/b.tar.gz", "old/secret.key/b.tar.gz", "locked/b.tar.gz"])
def test_a_folder_that_takes_no_archive_is_named_at_once(
    old: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    out = tmp_path / place
    (tmp_path / "locked").mkdir()
    allowed = os.access  # root may write anywhere, except on a disk that is read-only
    monkeypatch.setattr(os, "access", lambda at, how: "locked" not in str(at) and allowed(at, how))
    monkeypatch.setattr("validators.backup.covering.cover", lambda _source: pytest.fail("it was asked"))
    with pytest.raises(CommandError, match=re.escape(f"{out.parent} cannot be written to: name a file")):
        call_command("backup", data_dir=old.root, out=out)


def test_a_backup_from_a_read_only_disk_names_the_cause(old: Source, tmp_path: Path) -> None:
    """SQLite reads no database with a write-ahead log from such a disk."""
    with read_only(old.root), pytest.raises(BackupError, match=r"the disk is read-only: copy the folder"):
        back_up(old, tmp_path / "a.tar.gz", keys=False, ledgers=True)
    assert list(tmp_path.glob("*.tar.gz")) == []


def run(name: str, *words: object, warned: bool = False) -> str:
    """What a command printed, or with `warned` what it wrote to stderr; CommandError passes."""
    out, err = io.StringIO(), io.StringIO()
    call_command(name, *(str(word) for word in words), stdout=out, stderr=err)
    return (err if warned else out).getvalue()


def votes(ledger: Path, cluster: bytes) -> tuple[bool, str]:
    opened = open_ledger(ledger, cluster_id=cluster, alias="restored", expect_existing=True)
    try:
        return opened.voting, opened.voting_reason
    finally:
        opened.close()


def cluster_of(source: Source) -> bytes:
    return g.cluster_id(source.genesis())


def test_r11_a_restored_ledger_has_no_vote(old: Source, tmp_path: Path) -> None:
    assert votes(old.root / "nodes/r0/ledger", cluster_of(old)) == (True, "")
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    restore(out, check(out), Source(tmp_path / "new"), RestoreRequest())
    for _start in range(2):
        voting, reason = votes(tmp_path / "new/nodes/r0/ledger", cluster_of(old))
        assert not voting
        assert "replaced by another one" in reason


def test_r11_a_ledger_unpacked_by_hand_has_no_vote(old: Source, tmp_path: Path) -> None:
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    (tmp_path / "by-hand").mkdir()
    subprocess.run(["tar", "-xzf", out, "-C", tmp_path / "by-hand"], check=True)
    assert not votes(tmp_path / "by-hand/nodes/r0/ledger", cluster_of(old))[0]


def test_r11_a_key_from_before_its_first_vote_counts_as_one_that_voted(old: Source, tmp_path: Path) -> None:
    assert not (old.root / "nodes/r0/identity/voted").exists()
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=False)
    assert restore(out, check(out), Source(tmp_path / "new"), RestoreRequest("node", "r0")) == ["r0"]
    assert (tmp_path / "new/nodes/r0/identity/voted").exists()
    assert not (tmp_path / "new" / LEDGER).exists()
    voting, reason = votes(tmp_path / "new/nodes/r0/ledger", cluster_of(old))
    assert not voting
    assert "lost" in reason


@pytest.mark.parametrize("name", ["nodes/r0/identity/voted", "nodes/r0/ledger/ledger.turns"])
def test_r11_an_archive_without_its_marks_is_refused(old: Source, tmp_path: Path, name: str) -> None:
    manifest = back_up(old, tmp_path / "a.tar.gz", keys=True, ledgers=True)
    extract(tmp_path / "a.tar.gz", manifest, lambda _name: True, tmp_path / "files")
    (forged := tmp_path / "b.tar.gz").touch()
    with forged.open("wb") as out:
        writer = Writer(out)
        for each in manifest.files:
            if each.path != name:
                writer.add(each.path, tmp_path / "files" / each.path)
        writer.close(msgspec.structs.replace(manifest, files=tuple(writer.entries)))
    with pytest.raises(BackupError, match="does not mark"):
        check(forged)


def test_a_folder_that_is_not_empty_is_refused(old: Source, tmp_path: Path) -> None:
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").touch()
    for request, sentence in (
        (RestoreRequest(), "not empty"),
        (RestoreRequest("node", "r0"), "exists"),
        (RestoreRequest("platform"), "not empty"),
    ):
        target = old if request.part != "all" else Source(tmp_path / "new")
        with pytest.raises(BackupError, match=sentence):
            restore(out, check(out), target, request)
    assert os.listdir(tmp_path / "new") == ["mine"]


def test_a_running_network_is_refused(old: Source, tmp_path: Path) -> None:
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    (tmp_path / "new").mkdir()
    program = (
        "import sys; from pathlib import Path; from validators.data_folder.locks import RecordLock;"
        "RecordLock(Path(sys.argv[1])).take(); print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", program, tmp_path / "new/up.lock"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BackupError, match="network is running"):
            restore(out, check(out), Source(tmp_path / "new"), RestoreRequest())
        holder.communicate()


def test_a_member_that_answers_at_its_address_is_refused(tmp_path: Path) -> None:
    [port] = free_ports(1)
    create_demo_cluster(tmp_path / "old", 1, "127.0.0.1", [port])
    back_up(Source(tmp_path / "old"), out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    with socket.socket() as alive:
        alive.bind(("127.0.0.1", port))
        alive.listen()
        with pytest.raises(BackupError, match="node0 is alive"):
            restore(out, check(out), Source(tmp_path / "new"), RestoreRequest())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("known_by", ["the newest epoch", "its folder"])
def test_a_member_that_answers_where_it_moved_to_is_refused(
    old: Source, tmp_path: Path, known_by: str
) -> None:
    """Genesis knows the founding address only."""
    with socket.socket() as alive:
        alive.bind(("127.0.0.1", 0))
        alive.listen()
        host, port = alive.getsockname()
        if known_by == "its folder":
            keep_address(old.places.node("r0"), host, port, "12D3KooW")
        else:
            enter_epoch_with_r0_at(old, host, port)
        back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
        with pytest.raises(BackupError, match="r0 is alive"):
            restore(out, check(out), Source(tmp_path / "new"), RestoreRequest())
    assert not (tmp_path / "new").exists()


def enter_epoch_with_r0_at(source: Source, host: str, port: int) -> None:
    genesis = source.genesis()
    members = tuple(
        msgspec.structs.replace(member, host=host, port=port) if member.id == "r0" else member
        for member in genesis.members
    )
    present = Membership(epoch=1, after=10, members=members, parameters=genesis.parameters)
    ledger = open_ledger(source.places.node("r0").ledger, cluster_id=cluster_of(source), alias="old")
    try:
        ledger.load()
        ledger.append([StateRecord(EPOCH, canonical.encode_trimmed(present))])
    finally:
        ledger.close()


def test_an_archive_of_a_newer_program_is_refused(old: Source, tmp_path: Path) -> None:
    with sqlite3.connect(old.database) as database:
        database.execute("INSERT INTO django_migrations VALUES ('validators', '9999_later')")
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    with pytest.raises(BackupError, match=r"newer program .* validators.9999_later"):
        check(out)


def test_a_damaged_archive_leaves_nothing_behind(old: Source, tmp_path: Path) -> None:
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    before = sorted(tmp_path.iterdir())
    out.write_bytes(out.read_bytes()[: out.stat().st_size // 2])
    with pytest.raises(CommandError, match=r"damaged|no backup"):
        run("restore", out, "--data-dir", tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


def test_a_restore_that_finds_too_little_space_writes_nothing(
    old: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    needed = sum(each.size for each in manifest.files)
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage(10 * needed, 9 * needed, needed - 1))
    new = Source(tmp_path / "new")
    with pytest.raises(BackupError, match=f"has too little space: {needed} bytes are needed"):
        restore(out, check(out), new, RestoreRequest())
    assert not new.root.exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage(10 * needed, 9 * needed, needed))
    assert restore(out, check(out), new, RestoreRequest()) == ["r0"]


def test_an_archive_without_a_genesis_is_refused(old: Source, tmp_path: Path) -> None:
    manifest = back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    files = tuple(each for each in manifest.files if not each.path.endswith("/genesis.bin"))
    with pytest.raises(BackupError, match="holds no genesis"):
        restore(
            out, msgspec.structs.replace(manifest, files=files), Source(tmp_path / "new"), RestoreRequest()
        )


def test_a_folder_without_a_platform_certifies_nothing(tmp_path: Path) -> None:
    sequence, why = cover(Source(tmp_path))
    assert (sequence, why.startswith("this folder has no platform that could")) == (0, True)


def test_a_cluster_that_does_not_decide_is_said_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_demo_cluster(tmp_path, 1, "127.0.0.1", free_ports(1))
    monkeypatch.setattr(covering, "ANSWER_WAIT", 0.1)
    assert cover(Source(tmp_path)) == (0, "the cluster does not decide now")


@pytest.mark.parametrize(
    ("before", "stable", "told", "last"),
    [
        (10, True, (11, ""), 20),
        (18, True, (19, ""), 20),
        (19, True, (20, ""), 20),
        (20, True, (21, ""), 30),
        (10, False, (0, "no ledger of this folder has a stable checkpoint above"), 20),
    ],
)
def test_operations_are_ordered_up_to_the_next_checkpoint_and_it_is_waited_for(
    old: Source,
    monkeypatch: pytest.MonkeyPatch,
    before: int,
    stable: bool,
    told: tuple[int, str],
    last: int,
) -> None:
    """Each tenth sequence has a checkpoint; without `stable` only those before this backup are stable."""
    log = [before]

    def order(_gateway: object) -> int:
        log.append(log[-1] + 1)
        return log[-1]

    monkeypatch.setattr(covering, "_order", order)
    monkeypatch.setattr(covering, "_certified", lambda _place: (log[-1] if stable else before) // 10 * 10)
    monkeypatch.setattr(covering, "STABLE_WAIT", 0.05)
    parameters = msgspec.structs.replace(old.genesis().parameters, checkpoint_interval=10)
    present = SimpleNamespace(parameters=parameters)
    sequence, why = covering._covered(old, SimpleNamespace(present=present))  # type: ignore[arg-type]
    assert (sequence, why[: len(told[1])] if told[1] else why) == told
    assert log[-1] == last, "and no further"


def test_an_archive_that_cannot_be_read_back_is_removed(
    old: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(path: Path) -> Manifest:
        assert path.exists()
        raise BackupError(f"{path} is damaged.")

    monkeypatch.setattr(copying, "verify", damaged)
    with pytest.raises(BackupError, match="is damaged"):
        back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    assert not out.exists()


def test_the_members_in_a_backup_are_those_of_the_newest_epoch_that_any_ledger_knows(
    old: Source, tmp_path: Path
) -> None:
    genesis = old.genesis()
    epochs = {
        epoch: Membership(epoch, 10 * epoch, genesis.members, genesis.parameters) for epoch in (1, 2, 3)
    }
    copy = copying._Copy(old, genesis, Writer(io.BytesIO()), tmp_path)
    for epoch in (2, 3, 1):
        copy._learn([(canonical.encode_trimmed(epochs[epoch]),)])
    assert copy._newest == epochs[3]


def test_an_existing_archive_is_not_overwritten(old: Source, tmp_path: Path) -> None:
    (out := tmp_path / "a.tar.gz").write_bytes(b"mine")
    with pytest.raises(BackupError, match="exists already"):
        back_up(old, out, keys=True, ledgers=True)
    assert out.read_bytes() == b"mine"


def test_a_platform_is_restored_beside_nodes_that_are_there(old: Source, tmp_path: Path) -> None:
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    shutil.rmtree(old.root / "platform")
    (old.root / "keys/gateway.key").unlink()
    kept = (old.root / "nodes/r0/identity/node.key").stat().st_ino
    assert restore(out, check(out), old, RestoreRequest("platform")) == []
    assert old.database.exists()
    assert (old.root / "keys/gateway.key").read_bytes() == b"gateway.key secret"
    assert (old.root / "nodes/r0/identity/node.key").stat().st_ino == kept


@pytest.mark.parametrize("request_", [RestoreRequest("node", "r0"), RestoreRequest("platform")])
def test_what_is_restored_in_part_outlives_a_power_cut(
    old: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: RestoreRequest
) -> None:
    """Each file, and each folder on the way to it, has its entry on the disk."""
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    durable: set[tuple[int, int]] = set()

    def noted(folder: Path) -> None:
        sync_folder(folder)
        durable.update((each.stat().st_ino, each.stat().st_dev) for each in folder.iterdir())

    monkeypatch.setattr(archive, "sync_folder", noted)
    monkeypatch.setattr(restoring, "sync_folder", noted)
    new = Source(tmp_path / "new" / "data")
    new.root.parent.mkdir()
    restore(out, check(out), new, request_)
    found = [new.root, *new.root.rglob("*")]
    assert len(found) > 4
    assert [each for each in found if (each.stat().st_ino, each.stat().st_dev) not in durable] == []


def test_a_platform_is_not_restored_into_an_unrelated_cluster(old: Source, tmp_path: Path) -> None:
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    create_demo_cluster(tmp_path / "new", 1, "127.0.0.1", free_ports(1))
    with pytest.raises(BackupError, match="holds cluster"):
        restore(out, check(out), Source(tmp_path / "new"), RestoreRequest("platform"))


def test_a_platform_restored_in_part_cannot_start_without_its_database(
    old: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start with keys and without a database would make a new one."""
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    link, manifest = os.link, check(out)
    for kept in range(len(manifest.files)):
        new, left = tmp_path / f"new{kept}", iter(range(kept))

        def killed(source: Path, target: Path, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            link(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(os, "link", killed)
            try:
                restore(out, manifest, Source(new), RestoreRequest("platform"))
            except KeyboardInterrupt:
                assert not (new / "keys/gateway.key").exists() or Source(new).database.exists(), kept
            else:
                break
    assert Source(new).database.exists()
    assert kept > 3


def test_without_the_platforms_server_the_rest_is_backed_up(old: Source, tmp_path: Path) -> None:
    """The server may be away. SQLite files of an earlier time are not taken for what is on it."""
    (old.root / "platform/identity").write_text("0123\n")
    (old.root / "platform/database").write_text("server\n")
    shutil.copytree(old.places.node("r0").ledger, old.places.learner)
    said = run("backup", "--data-dir", old.root, "--out", tmp_path / "a.tar.gz", "--keys", warned=True)
    assert re.findall("NOT in it: (.*?)\\..*set DATABASE_URL", said) == [
        "the platform's database",
        "the ledger of learner",
    ]
    manifest = check(tmp_path / "a.tar.gz")
    assert ([each.name for each in manifest.ledgers], manifest.database) == (["r0"], "")
    assert "secret.key" in {each.path for each in manifest.files}


def test_a_server_that_does_not_answer_is_refused_whatever_the_note(
    old: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old.root / "platform/identity").write_text("0123\n")
    (old.root / "platform/database").write_text("sqlite\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://dtvn@127.0.0.1:9/dtvn")
    with pytest.raises(CommandError, match=r"PostgreSQL cannot be read: .*refused"):
        run("backup", "--data-dir", old.root, "--out", tmp_path / "a.tar.gz")


def test_a_node_whose_own_server_is_away_does_not_prevent_the_backup(old: Source, tmp_path: Path) -> None:
    """Nor is an older ledger beside it taken for its own."""
    write_private(old.places.node("r0").ledger_url, b"postgresql://dtvn@127.0.0.1:9/dtvn\n")
    said = run("backup", "--data-dir", old.root, "--out", tmp_path / "a.tar.gz", warned=True)
    assert "NOT in it: the ledger of r0. None with a log was found, or its server does not answer" in said
    manifest = check(tmp_path / "a.tar.gz")
    assert (manifest.ledgers, manifest.database) == ((), "sqlite")


@pytest.mark.parametrize("recovered", [(), (b"one", b"two")])
def test_the_epochs_after_a_recovery_are_those_of_the_copy_of_the_log(
    old: Source, settings: Any, monkeypatch: pytest.MonkeyPatch, recovered: tuple[bytes, ...]
) -> None:
    """This platform knows no later epochs of another folder's cluster."""
    log = [b"one", b"two", b"three"]
    monkeypatch.setattr(covering.read, "epoch_changes", lambda _alias, *, after: log[after:])
    if recovered:
        write_private(old.places.epoch_changes, encode_epoch_changes(recovered))
    settings.DATA = old.root
    assert covering._epoch_changes(old) == log
    settings.DATA = old.root / "other"
    assert covering._epoch_changes(old) == list(recovered)


def test_only_a_stable_checkpoint_certifies_what_a_backup_promises(old: Source) -> None:
    """A member stores its own checkpoint too, before others have signed it."""
    (place,) = [each.location for each in old.ledgers(old.genesis()).values() if each is not None]
    log = old_log(12)
    ledger = open_ledger(place, cluster_id=log.cluster, alias="old", expect_existing=True)
    try:
        ledger.load()
        entry = log.steps[11].entry
        ledger.append(
            [CheckpointRecord(entry.epoch, 12, log.roots[11], log.log_root(12), entry.timestamp, ())]
        )
    finally:
        ledger.close()
    assert _certified(place) == 10


def test_a_platforms_database_that_was_not_found_is_named(old: Source, tmp_path: Path) -> None:
    """A folder of an earlier version, whose database is on a server, has no note of that."""
    old.database.unlink()
    (old.root / "platform/identity").write_text("0123\n")
    said = run("backup", "--data-dir", old.root, "--out", tmp_path / "a.tar.gz", warned=True)
    assert "NOT in it: the platform's database" in said
    said = run("restore", "--check", tmp_path / "a.tar.gz")
    assert "database     not in it, none was found" in said


@pytest.mark.django_db
@pytest.mark.parametrize("part", ["all", "platform"])
@pytest.mark.parametrize("note", ["", "server\n"])
def test_a_platform_restored_without_its_database_begins_no_empty_one(
    old: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str, part: Any
) -> None:
    """Users, keys and holders seemed lost. Earlier versions had no note."""
    old.database.unlink()
    (old.root / "platform/identity").write_text("0123\n")
    if note:
        (old.root / "platform/database").write_text(note)
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    restore(out, check(out), new := Source(tmp_path / "new"), RestoreRequest(part))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(StartError, match="this platform's database is on a server: set DATABASE_URL"):
        PlatformLease(DataFolder(new.root)).take()


def test_files_are_not_restored_where_a_server_is_the_database(old: Source, tmp_path: Path) -> None:
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    new = Source(tmp_path / "new", "postgresql://dtvn@127.0.0.1:9/dtvn")
    for request in (RestoreRequest(), RestoreRequest("platform")):
        with pytest.raises(BackupError, match="unset DATABASE_URL, restore"):
            restore(out, check(out), new, request)
    assert not new.root.exists()


def test_the_name_of_a_backup_needs_no_quotes() -> None:
    assert re.fullmatch(r"backup-Fest-12-Tor-A-\d{8}T\d{6}Z\.tar\.gz", str(new_name("Fest 12: Tor/A é")))
    assert re.fullmatch(r"backup-\d{8}T\d{6}Z\.tar\.gz", str(new_name("…")))


def test_a_restored_node_is_started_alone_until_its_platform_is_restored(old: Source, tmp_path: Path) -> None:
    """`make up` refuses a folder without the platform's files."""
    run("backup", "--data-dir", old.root, "--out", tmp_path / "a.tar.gz", "--keys")
    new = tmp_path / "new"
    said = run("restore", tmp_path / "a.tar.gz", "--data-dir", new, "--node", "r0")
    assert f"Next: start it (manage.py validator -data-dir {new} -id r0; or restore the platform" in said
    run("restore", tmp_path / "a.tar.gz", "--data-dir", new, "--platform")
    (new / "nodes" / "r0").rename(tmp_path / "lost")
    said = run("restore", tmp_path / "a.tar.gz", "--data-dir", new, "--node", "r0")
    assert f"Next: start it (make up DATA={new})." in said


def test_restored_members_that_cannot_decide_are_told_how_to_continue(old: Source, tmp_path: Path) -> None:
    manifest = back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True, covered=9)
    alone = msgspec.structs.replace(manifest, members=("r0",))
    new = Source(tmp_path / "new")
    lines = advice(out, new.root, alone, restore(out, check(out), new, RestoreRequest()), ledgers=True)
    assert "1 of 1 members are restored here, and 1 must vote" in " ".join(lines)
    assert "after sequence 10 is not in it, but everything from before the backup is" in " ".join(lines)
    state = tmp_path / "cluster.state"
    [save] = [line.split() for line in lines if "continue save" in line]
    run("genesis", *save[2:-1], state)
    assert state.exists()
    assert not any("DATABASE_URL" in line for line in lines)


def test_a_continued_platform_on_a_server_needs_an_empty_database(old: Source, tmp_path: Path) -> None:
    """The one that holds the restored copy is refused for a second restore."""
    manifest = back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    served = msgspec.structs.replace(manifest, members=("r0",), database="postgresql")
    lines = advice(out, tmp_path / "new", served, ["r0"], ledgers=True)
    [export] = [place for place, line in enumerate(lines) if "export DATABASE_URL=" in line]
    assert lines[export + 1].endswith("--platform")
