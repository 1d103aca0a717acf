"""Back up and restore of what lies on a PostgreSQL server."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from dtvn.files.whole import write_private
from dtvn.ledger import Location
from dtvn.node.layout import ClusterFolder
from dtvn.node.ledger_place import ledger_schema, own_server
from dtvn.protocol import genesis as g
from tests.integration.postgresql import PostgreSQL, postgresql
from tests.proof.continuing import old_log
from tests.proof.support import PaperLog
from validators.backup.archive import extract
from validators.backup.copying import back_up
from validators.backup.forms import BackupError, Manifest
from validators.backup.learner import remove
from validators.backup.restoring import RestoreRequest, check, restore
from validators.backup.sources import Source
from validators.ledger import open_ledger
from validators.management.commands.restore import described, ledger_urls


@pytest.fixture(autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as started:
        yield started


@pytest.fixture
def new_url(server: PostgreSQL) -> Callable[[], str]:
    """Makes an empty database."""
    return lambda: server.database(f"dtvn_{uuid4().hex[:12]}")


@pytest.fixture
def old_url(new_url: Callable[[], str]) -> str:
    return new_url()


def place_of(source: Source, log: PaperLog, url: str) -> Location:
    """Where a server has the ledger of r0."""
    return Location(source.places.node("r0").ledger, url, ledger_schema(log.genesis, "r0"))


def fill(place: Location, log: PaperLog) -> None:
    ledger = open_ledger(place, cluster_id=log.cluster, alias="old")
    ledger.load()
    ledger.append([step.record(()) for step in log.steps])
    ledger.close()


def follows(place: Location, log: PaperLog) -> bool:
    """Whether the ledger holds the log, and has no vote."""
    opened = open_ledger(place, cluster_id=log.cluster, alias="new", expect_existing=True)
    try:
        return not opened.voting and opened.load().frontier.size == len(log.steps)
    finally:
        opened.close()


def a_node(root: Path, log: PaperLog, url: str) -> Source:
    """A folder with r0, whose ledger is on a server."""
    folder = ClusterFolder(root)
    folder.create()
    folder.node("r0").create()
    write_private(folder.genesis, g.encode(log.genesis))
    write_private(folder.node("r0").genesis, g.encode(log.genesis))
    source = Source(root)
    fill(place_of(source, log, url), log)
    return source


def test_database_and_ledger_on_a_server_come_back_without_a_vote(
    old_url: str, new_url: Callable[[], str], tmp_path: Path
) -> None:
    log = old_log(12)
    old = Source(a_node(tmp_path / "old", log, old_url).root, old_url)
    with psycopg.connect(old_url) as server:
        server.execute("CREATE TABLE public.django_migrations (app text, name text)")
        server.execute("INSERT INTO public.django_migrations VALUES ('validators', '0001_initial')")
    manifest = back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    assert [(each.kind, each.place, each.executed) for each in manifest.ledgers] == [
        ("postgresql", "platform", 12)
    ]
    with pytest.raises(BackupError, match="name an empty database"):
        restore(out, check(out), Source(tmp_path / "new", old_url), RestoreRequest())
    assert not (tmp_path / "new").exists()
    new = Source(tmp_path / "new", url := new_url())
    assert restore(out, check(out), new, RestoreRequest()) == ["r0"]
    with psycopg.connect(url) as server:
        found = server.execute("SELECT app, name FROM public.django_migrations").fetchall()
    assert found == [("validators", "0001_initial")]
    assert not list(new.root.rglob("*.pgdump"))
    assert (new.root / "platform/database").read_text() == "server\n"
    assert follows(place_of(new, log, url), log)


@pytest.fixture
def moved(old_url: str, tmp_path: Path) -> tuple[Source, PaperLog]:
    """A platform on SQLite with one node, whose ledger was moved to a server of its own."""
    log = old_log(12)
    source = a_node(tmp_path / "old", log, old_url)
    write_private(source.places.node("r0").ledger_url, f"{old_url}\n".encode())
    (source.root / "platform").mkdir()
    with sqlite3.connect(source.database) as database:
        database.execute("CREATE TABLE django_migrations (app TEXT, name TEXT)")
    return source, log


def lost(url: str, place: Location) -> None:
    with psycopg.connect(url) as server:
        server.execute(f"DROP SCHEMA {place.schema} CASCADE".encode())


@pytest.mark.parametrize("form", ["dtvn-backup/2", "dtvn-backup/1"])
def test_a_ledger_on_its_own_server_returns_there(
    moved: tuple[Source, PaperLog], old_url: str, tmp_path: Path, form: str
) -> None:
    """With keys the archive names the server; in the form before only its content tells the place."""
    old, log = moved
    manifest = back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    if form == "dtvn-backup/1":
        out = in_first_form(out, manifest, tmp_path / "b.tar.gz")
    lost(old_url, place_of(old, log, old_url))
    new = Source(tmp_path / "new")
    assert restore(out, check(out), new, RestoreRequest()) == ["r0"]
    assert own_server(new.places.node("r0")) == old_url
    assert follows(place_of(new, log, old_url), log)


def test_what_is_on_a_server_is_named_if_the_folder_cannot_be_placed(
    moved: tuple[Source, PaperLog], old_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, log = moved
    back_up(old, out := tmp_path / "a.tar.gz", keys=True, ledgers=True)
    lost(old_url, place := place_of(old, log, old_url))
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(BackupError, match=f"No space left on device. On the server: schema {place.schema}"):
        restore(out, check(out), Source(tmp_path / "new"), RestoreRequest())


def full(*_: object) -> None:
    """Path.rename on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def in_first_form(archive: Path, manifest: Manifest, out: Path) -> Path:
    """The archive as the version before wrote it."""
    extract(archive, manifest, lambda _name: True, files := out.with_suffix(".files"))
    plain = msgspec.to_builtins(manifest) | {"format": "dtvn-backup/1"}
    del plain["addresses"], plain["missing"]
    for copy in plain["ledgers"]:
        del copy["place"]
    with tarfile.open(out, "w:gz") as tar:
        for each in manifest.files:
            tar.add(files / each.path, each.path)
        last = tarfile.TarInfo("manifest.json")
        content = msgspec.json.encode(plain)
        last.size = len(content)
        tar.addfile(last, io.BytesIO(content))
    return out


def test_without_keys_the_own_server_must_be_named(
    moved: tuple[Source, PaperLog], new_url: Callable[[], str], tmp_path: Path
) -> None:
    old, log = moved
    back_up(old, out := tmp_path / "a.tar.gz", keys=False, ledgers=True)
    platforms, own = new_url(), new_url()
    with pytest.raises(BackupError, match=r"--ledger-url r0=FILE .* or DTVN_STORAGE_URL"):
        restore(out, check(out), Source(tmp_path / "new"), RestoreRequest())
    (url_file := tmp_path / "url").write_text(f"{own}\n")
    request = RestoreRequest(ledger_urls=ledger_urls([f"r0={url_file}"]))
    new = Source(tmp_path / "new", storage_url=platforms)
    restore(out, check(out), new, request)
    elsewhere = msgspec.structs.replace(place_of(new, log, own), folder=tmp_path / "elsewhere")
    assert follows(elsewhere, log), "marked in itself: its witness may be sought in another folder"
    assert own_server(new.places.node("r0")) == own


def test_a_ledger_that_the_environment_names_is_in_the_backup(old_url: str, tmp_path: Path) -> None:
    """A standalone node: `DTVN_STORAGE_URL`."""
    log = old_log(12)
    alone = a_node(tmp_path / "old", log, old_url)
    without = back_up(alone, tmp_path / "a.tar.gz", keys=True, ledgers=True)
    assert (without.ledgers, without.missing) == ((), ("r0",))
    assert "ledger       r0: not in it, none was found" in described(tmp_path / "a.tar.gz", without)
    served = msgspec.structs.replace(alone, storage_url=old_url)
    found = back_up(served, tmp_path / "b.tar.gz", keys=True, ledgers=True)
    assert [(each.place, each.executed) for each in found.ledgers] == [("own", 12)]


def test_the_database_of_another_platform_is_refused(old_url: str, tmp_path: Path) -> None:
    """Its id decides, since a platform that has just moved to a server has noted SQLite. An empty database
    has no id, and is not the one of a platform in files."""
    source = Source(a_node(tmp_path / "old", old_log(12), old_url).root, old_url)
    source.check_database()
    (source.root / "platform").mkdir()
    (source.root / "platform/identity").write_text("0123\n")
    source.check_database()
    (source.root / "platform/database").write_text("sqlite\n")
    with pytest.raises(BackupError, match="names another database than that of the platform"):
        source.check_database()
    with psycopg.connect(old_url) as server:
        server.execute("CREATE TABLE public.validators_platform (platform_id text)")
        server.execute("INSERT INTO public.validators_platform VALUES ('4567')")
    for note in ("sqlite\n", "server\n"):
        (source.root / "platform/database").write_text(note)
        with pytest.raises(BackupError, match="names another database than that of the platform"):
            source.check_database()
    (source.root / "platform/identity").write_text("4567\n")
    (source.root / "platform/database").write_text("sqlite\n")
    source.check_database()


def test_only_a_copy_of_the_log_that_is_on_the_server_is_removed(old_url: str, tmp_path: Path) -> None:
    source = Source(a_node(tmp_path / "old", old_log(12), old_url).root, old_url)
    source.learner.folder.mkdir()
    with psycopg.connect(old_url, autocommit=True) as server:
        with pytest.raises(BackupError, match="schema learner holds no copy of the log"):
            remove(source)
        server.execute("CREATE SCHEMA learner CREATE TABLE ledger_ledgermeta (n int)")
        remove(source)
        assert server.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'learner'").fetchall() == []
