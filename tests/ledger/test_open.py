"""Who may open a ledger, and what opening finds out (PROTOCOL R10, R11)."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec
import psycopg
import pytest
from django.db import connections

from dtvn.ledger import LedgerBusy, LedgerForeign, LedgerTooNew, LedgerUnreachable, LedgerUnsafe, Location
from dtvn.protocol import canonical
from dtvn.protocol.host.ports import JournalError, JournalFenced
from tests.ledger.children import ROOT, reopen_when_free
from tests.ledger.samples import CLUSTER, LogWriter, slot
from validators.ledger import Ledger, open_ledger, postgresql
from validators.ledger.location import LOCK_FILE, WITNESS_FILE
from validators.ledger.lock import FileLock
from validators.ledger.meta import replace_meta
from validators.ledger.witness import Witness

ALIAS = "ledger-under-test"


def opened(place: Location, alias: str = ALIAS, **options: bool) -> Ledger:
    return open_ledger(place, cluster_id=CLUSTER, alias=alias, **options)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the ledger in `folder`."""
    with suppress(FileNotFoundError), (folder / LOCK_FILE).open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_r10_a_second_opener_is_refused_and_changes_nothing(place: Location) -> None:
    first = opened(place)
    first.load()
    try:
        with pytest.raises(LedgerBusy, match="in use by another process"):
            opened(place, alias="rival")
        assert "rival" not in connections.databases
        assert is_locked(place.folder)
        first.append([slot("prepare", 1)])
    finally:
        first.close()
    assert not is_locked(place.folder)


def test_a_folder_in_which_nothing_can_be_locked_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreachable, match=f"The lock file {tmp_path}/absent/.* cannot be used"):
        FileLock(tmp_path / "absent")


def test_r11_only_the_process_that_wrote_a_ledger_continues_it(place: Location) -> None:
    """What another one finds, and the same one in the next epoch, may be an older copy."""
    for _ in range(2):
        ledger = opened(place)
        try:
            assert not ledger.load().continued
            assert not ledger.load().continued, "nothing was written: the first turn did not succeed"
            ledger.append([slot("prepare", 1)])
            assert ledger.load().continued, "the core was rebuilt"
        finally:
            ledger.close()


def test_r10_postgresql_has_a_lock_beside_the_file(postgres_place: Location, tmp_path: Path) -> None:
    """Two hosts share a schema, never a folder."""
    first = opened(postgres_place)
    elsewhere = Location(tmp_path / "other-host", postgres_place.url, postgres_place.schema)
    try:
        with pytest.raises(LedgerBusy, match=postgres_place.schema):
            opened(elsewhere, alias="rival")
    finally:
        first.close()


def test_a_ledger_opens_right_after_installation(tmp_path: Path) -> None:
    """With the platform's settings, nothing migrated and no data folder."""
    source = (
        "import django, sys; django.setup(); from validators.ledger import open_ledger\n"
        "ledger = open_ledger(sys.argv[1], cluster_id=bytes(32)); ledger.load(); print(ledger.alias)"
    )
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "dtvn_project.settings"}
    environment["DTVN_DATA"] = str(tmp_path / "absent")
    done = subprocess.run(
        [sys.executable, "-c", source, str(tmp_path / "l")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("ledger\n", "")
    assert not (tmp_path / "absent").exists()


def test_another_clusters_ledger_is_refused(place: Location) -> None:
    opened(place).close()
    with pytest.raises(LedgerForeign, match="belongs to cluster"):
        open_ledger(place, cluster_id=canonical.digest(b"another"), alias=ALIAS)
    opened(place).close()


def test_a_newer_schema_is_refused(place: Location) -> None:
    ledger = opened(place)
    newer = msgspec.structs.replace(ledger._meta, schema=99)
    ledger._store.commit(replace_meta(newer, held_by=1), [], durable=True)
    ledger.close()
    with pytest.raises(LedgerTooNew, match="schema 99"):
        opened(place)
    assert not is_locked(place.folder)


def test_r10_a_writer_that_lost_the_ledger_writes_nothing_more(place: Location) -> None:
    ledger = opened(place)
    ledger.load()
    ledger.append([slot("prepare", 1)])
    ledger._store.define("UPDATE ledger_ledgermeta SET incarnation = incarnation + 1")
    with pytest.raises(JournalFenced):
        ledger.append([slot("prepare", 2)])
    assert len(ledger.load().slots) == 1
    with pytest.raises(JournalFenced):
        ledger.materialise([], 0, 0)
    ledger.close()


def test_r10_a_lost_connection_is_a_failed_persist(postgres_place: Location) -> None:
    ledger = opened(postgres_place)
    ledger.load()
    ledger.append([slot("prepare", 1)])
    backend = ledger._store.rows("SELECT pg_backend_pid()")[0][0]
    with psycopg.connect(postgres_place.url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (backend,))
    with pytest.raises(JournalError, match="PostgreSQL could not write"):
        ledger.append([slot("prepare", 2)])
    with pytest.raises(JournalError):
        ledger.append([slot("prepare", 3)])
    ledger.close()
    again = reopen_when_free(postgres_place)
    try:
        assert again.load().slots == (slot("prepare", 1),)
    finally:
        again.close()


@pytest.mark.parametrize("setting", sorted(postgresql.SAFE_SETTINGS))
def test_r10_a_server_without_durable_commits_is_refused(
    postgres_place: Location, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """The server here is durable, so the test inverts the required settings."""
    monkeypatch.setitem(postgresql.SAFE_SETTINGS, setting, "off")
    with pytest.raises(LedgerUnsafe, match=f"{setting} = on"):
        opened(postgres_place)
    assert not is_locked(postgres_place.folder)


def test_r10_commits_are_synchronous_whatever_the_database_says(postgres_place: Location) -> None:
    with psycopg.connect(postgres_place.url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET synchronous_commit = off".encode())
    ledger = opened(postgres_place)
    try:
        ledger.load()
        ledger.materialise([], 0, 0)
        assert ledger._store.rows("SHOW synchronous_commit") == [("on",)]
    finally:
        ledger.close()
        with psycopg.connect(postgres_place.url, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {admin.info.dbname} RESET synchronous_commit".encode())


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://postgres:geheim@127.0.0.1:{unused.getsockname()[1]}/x"
        with pytest.raises(LedgerUnreachable, match="does not answer for schema gone") as caught:
            opened(Location(tmp_path / "l", url, "gone"))
    assert "geheim" not in str(caught.value)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(LedgerUnreachable, match="cannot be used"):
        opened(Location(tmp_path / "file"))
    with pytest.raises(LedgerUnreachable, match="not 'Bad Name'"):
        Location(tmp_path, "postgresql://h/d", "Bad Name")


def test_r11_a_new_replica_votes(place: Location) -> None:
    ledger = opened(place)
    assert (ledger.created, ledger.voting, ledger.voting_reason) == (True, True, "")
    ledger.close()
    again = opened(place, expect_existing=True)
    assert (again.created, again.voting, again.incarnation) == (False, True, 2)
    again.close()


def test_r11_an_empty_ledger_of_a_replica_that_had_one_follows(place: Location) -> None:
    ledger = opened(place, expect_existing=True)
    assert not ledger.voting
    assert "lost" in ledger.voting_reason
    ledger.close()
    again = opened(place)
    assert not again.voting, "the flag stays"
    again.close()


def test_r11_a_deleted_database_is_noticed_by_the_files_beside_it(sqlite_place: Location) -> None:
    opened(sqlite_place).close()
    sqlite_place.database_file.unlink()
    ledger = opened(sqlite_place)
    assert ledger.created
    assert not ledger.voting
    ledger.close()


def test_r11_a_restored_old_copy_follows_without_a_vote(sqlite_place: Location, tmp_path: Path) -> None:
    """A twin from an old disk image would vote again where it voted before."""
    ledger = opened(sqlite_place)
    ledger.load()
    ledger.append([slot("prepare", 1)])
    ledger.close()
    shutil.copy(sqlite_place.database_file, tmp_path / "copy")
    ledger = opened(sqlite_place)
    ledger.load()
    ledger.append([slot("prepare", 2)])
    ledger.close()
    shutil.copy(tmp_path / "copy", sqlite_place.database_file)
    again = opened(sqlite_place)
    assert not again.voting
    assert "holds 1 turns of 2" in again.voting_reason
    again.close()


def test_r11_a_turn_that_a_power_cut_may_take_back_is_not_witnessed(place: Location) -> None:
    """Else a ledger that lost it would count as cut off, and its replica would not vote."""
    ledger = opened(place)
    ledger.load()
    seen = []
    for number, durable in ((1, True), (2, False), (3, False), (4, True)):
        ledger.append([slot("prepare", number)], durable=durable)
        witness = Witness(place)
        assert witness.seen is not None
        seen.append(witness.seen.turns)
        witness.close()
    ledger.close()
    assert seen == [1, 1, 1, 4]


def test_r11_stopping_to_vote_is_durable(place: Location) -> None:
    ledger = opened(place)
    ledger.load()
    ledger._replace_meta([], voting=False, voting_reason="Members show a statement of mine.")
    ledger.append(LogWriter().entries(1))
    ledger.close()
    again = opened(place)
    assert not again.voting
    assert again.voting_reason.startswith("Members show")
    assert len(again.load().entries) == 1
    again.close()


# --- the witness of a Raft member (R44) ---------------------------------------------------------------


def test_r44_a_member_with_its_witness_votes_after_each_start(place: Location) -> None:
    opened(place, witnessed=True).close()
    for _ in range(2):
        ledger = opened(place, witnessed=True)
        assert ledger.voting
        ledger.load()
        ledger.append([slot("prepare", ledger.incarnation)])
        ledger.close()


@pytest.mark.parametrize("how", ["missing", "torn", "of release 0.1.0"])
def test_r44_a_member_without_a_readable_witness_follows(place: Location, how: str) -> None:
    opened(place, witnessed=True).close()
    path = place.folder / WITNESS_FILE
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 28 if how == "of release 0.1.0" else 20])
    ledger = opened(place, witnessed=True)
    assert not ledger.voting
    assert ledger.voting_reason
    ledger.close()
    again = opened(place, witnessed=True)
    assert not again.voting, "its own new witness does not vouch for what it did not know"
    again.close()


def test_r44_a_ledger_that_is_another_file_follows(sqlite_place: Location) -> None:
    opened(sqlite_place, witnessed=True).close()
    file = sqlite_place.database_file
    shutil.copy(file, file.with_name("copy"))
    os.replace(file.with_name("copy"), file)
    ledger = opened(sqlite_place, witnessed=True)
    assert not ledger.voting
    assert "another file" in ledger.voting_reason
    ledger.close()


def test_r44_a_command_that_opens_a_moved_ledger_does_not_vouch_for_it(sqlite_place: Location) -> None:
    opened(sqlite_place, witnessed=True).close()
    file = sqlite_place.database_file
    shutil.copy(file, file.with_name("copy"))
    os.replace(file.with_name("copy"), file)
    opened(sqlite_place).close()
    ledger = opened(sqlite_place, witnessed=True)
    assert not ledger.voting
    ledger.close()


def test_r44_a_power_cut_between_ledger_and_witness_leaves_the_vote(place: Location) -> None:
    """The ledger is synced first, so the witness is behind."""
    ledger = opened(place, witnessed=True)
    ledger.load()
    path = place.folder / WITNESS_FILE
    before = path.read_bytes()
    ledger.append([slot("prepare", 1)])
    ledger.close()
    path.write_bytes(before)
    again = opened(place, witnessed=True)
    assert again.voting
    again.close()


def test_r11_release_0_1_0_reads_the_witness_and_this_one_reads_its(place: Location) -> None:
    """Its form is the first 28 bytes, and it writes no more: going back costs no vote under PBFT."""
    ledger = opened(place)
    ledger.load()
    ledger.append([slot("prepare", 1)])
    ledger.close()
    path = place.folder / WITNESS_FILE
    identity, turns, checksum = struct.unpack(">16sQI", path.read_bytes()[:28])
    assert (turns, checksum) == (1, zlib.crc32(path.read_bytes()[:24]))
    path.write_bytes(struct.pack(">16sQI", identity, turns, checksum))
    again = opened(place)
    assert again.voting
    again.close()
