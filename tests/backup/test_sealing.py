"""A backup opens nothing: no logins are in it, and it may be encrypted for a key that is elsewhere."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pyrage
import pytest

from tests.backup.test_restore import _ledgers_may_be_opened, old  # noqa: F401
from validators.backup.copying import back_up
from validators.backup.forms import BackupError
from validators.backup.restoring import RestoreRequest, check, restore
from validators.backup.sealing import MAGIC, opened, recipient_of, seal
from validators.backup.sources import Source

LIVE = b"a-live-session-of-the-superuser"


@pytest.fixture
def source(old: Source) -> Source:  # noqa: F811
    """A platform with logins, among other rows."""
    with sqlite3.connect(old.database) as database:
        database.executescript(
            "CREATE TABLE kept_sessions_session (session_key TEXT);"
            "CREATE TABLE django_session (session_key TEXT);"
            "CREATE TABLE validators_loginattempts (subject TEXT);"
            "CREATE TABLE auth_user (username TEXT);"
            "INSERT INTO auth_user VALUES ('ada');"
        )
        for table in ("kept_sessions_session", "django_session", "validators_loginattempts"):
            database.execute(f"INSERT INTO {table} VALUES (?)", (LIVE.decode(),))  # noqa: S608
    return old


@pytest.fixture
def archive(source: Source, tmp_path: Path) -> Path:
    out = tmp_path / "backup.tar.gz"
    back_up(source, out, keys=True, ledgers=False)
    return out


def test_a_restore_logs_everybody_out_and_keeps_the_accounts(archive: Path, tmp_path: Path) -> None:
    target = Source(tmp_path / "restored")
    restore(archive, check(archive), target, RestoreRequest())
    content = target.database.read_bytes()
    assert LIVE not in content, "not even in free pages"
    with sqlite3.connect(target.database) as database:
        assert database.execute("SELECT username FROM auth_user").fetchall() == [("ada",)]


def test_a_sealed_backup_opens_with_its_key_alone(archive: Path, tmp_path: Path) -> None:
    own, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    sealed = tmp_path / "backup.tar.gz.age"
    seal(archive, sealed, recipient_of(str(own.to_public())))
    plain = archive.read_bytes()
    assert sealed.read_bytes().startswith(MAGIC)
    assert sealed.stat().st_mode & 0o077 == 0
    archive.unlink()
    for name, identity in (("own", own), ("other", other)):
        (tmp_path / name).write_text(f"# a comment\n{identity}\n")
    with opened(sealed, tmp_path / "own") as found:
        assert found.read_bytes() == plain
        assert found.stat().st_mode & 0o077 == 0
        check(found)
    assert not found.exists()
    with pytest.raises(BackupError, match="does not open with"), opened(sealed, tmp_path / "other"):
        pass
    with pytest.raises(BackupError, match="name the file with its key"), opened(sealed, None):
        pass


def test_a_damaged_sealed_backup_is_refused(archive: Path, tmp_path: Path) -> None:
    own = pyrage.x25519.Identity.generate()
    sealed, key = tmp_path / "backup.age", tmp_path / "own"
    seal(archive, sealed, own.to_public())
    key.write_text(str(own))
    content = bytearray(sealed.read_bytes())
    content[len(content) // 2] ^= 1
    sealed.write_bytes(content)
    with pytest.raises(BackupError, match="is damaged"), opened(sealed, key):
        pass


def test_a_text_that_is_no_recipient_is_named() -> None:
    with pytest.raises(BackupError, match="ssh-ed25519 AAAA is no recipient of age"):
        recipient_of("ssh-ed25519 AAAA")


def test_a_plain_archive_needs_no_key(archive: Path) -> None:
    with opened(archive, None) as found:
        assert found == archive
