"""Makes a backup of a data folder while its network may run.

Ledgers are copied first, then the platform's database, then keys: what the database says about a ticket is
never older than the ledgers. Each copy is one consistent snapshot (SQLite's backup in one step, which blocks
no writer; or pg_dump), and is put into the archive before the next one is made.

No node that is restored from it votes until it may (R11): the archive holds the stamp of a node that has
voted for every node, also for one that has not yet, and beside each ledger a witness file that names another
ledger, so that the copy is known as a copy even if it is unpacked by hand.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dtvn import __version__
from dtvn.files.whole import whole_file
from dtvn.ledger import DATABASE_FILE, Location
from dtvn.node.learner import LEARNER_SCHEMA
from dtvn.node.moved import moved_to
from dtvn.node.options import StartError
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import EPOCH
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.quorum import Mode
from validators.backup import postgresql
from validators.backup.archive import Writer, is_safe, verify
from validators.backup.forms import FORMAT, BackupError, LedgerCopy, Manifest
from validators.backup.sources import DATABASE_NOTE, DATABASE_SCHEMA, STAMP, WITNESS, LedgerPlace, Source
from validators.ledger.location import BUSY_SECONDS
from validators.ledger.witness import IDENTITY_SIZE, Witness

LOG = "SELECT schema, (SELECT coalesce(max(sequence), 0) FROM ledger_consensusentry)"
LOG += ", (SELECT coalesce(max(sequence), 0) FROM ledger_checkpoint WHERE length(frames) > 1)"
LOG += " FROM ledger_ledgermeta"
"""The beginning of a cluster that continues another one is a checkpoint without signatures: one byte."""
LOGINS = ("kept_sessions_session", "django_session", "validators_loginattempts")
"""Tables whose rows are left out: a restore logs everybody out. (django_session: of an earlier release.)"""
_EPOCH = f"SELECT value FROM ledger_statevalue WHERE name = '{EPOCH}'"  # noqa: S608
_MIGRATIONS = "SELECT app, max(name) FROM django_migrations GROUP BY app"


def check_place(out: Path) -> None:
    """Raise BackupError unless a new file can be made there."""
    if out.exists():
        raise BackupError(f"{out} exists already: name another file.")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise BackupError(f"{out.parent.absolute()} cannot be written to: name a file elsewhere (--out).")


def back_up(source: Source, out: Path, *, keys: bool, ledgers: bool, covered: int = 0) -> Manifest:
    """Write the archive `out`, which must not exist, and read it back. `covered`: see Manifest. Raises
    BackupError; then there is no archive."""
    genesis = source.genesis()
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch,
            whole_file(out) as file,
        ):
            copy = _Copy(source, genesis, Writer(file), Path(scratch))
            if ledgers:
                copy.ledgers()
            copy.database()
            copy.files(keys=keys)
            copy.end(keys=keys, covered=covered)
        try:
            return verify(out)
        except BackupError:
            out.unlink()
            raise
    except FileExistsError as error:
        raise BackupError(f"{out} exists already: name another file.") from error
    except OSError as error:
        raise BackupError(f"{error.filename or out}: {error.strerror}.") from error


class _Copy:
    """One backup under way."""

    def __init__(self, source: Source, genesis: g.Genesis, writer: Writer, scratch: Path) -> None:
        self._source = source
        self._genesis = genesis
        self._writer = writer
        self._scratch = scratch
        self._ledgers: list[LedgerCopy] = []
        self._missing: list[str] = []
        self._newest: Membership | None = None
        self._kind: str = ""
        self._migrations: dict[str, str] = {}

    def ledgers(self) -> None:
        """Copy every ledger that is found."""
        for name, place in self._source.ledgers(self._genesis).items():
            if place is None:
                copied = None
            elif place.location.url:
                copied = self._dumped(name, place)
            else:
                copied = self._copied(name, place)
            if copied is None:
                self._missing.append(name)
            else:
                self._ledgers.append(copied)

    def database(self) -> None:
        """Copy the platform's database, if this folder has a platform."""
        source = self._source
        if source.database_url:
            if not postgresql.occupied(source.database_url, DATABASE_SCHEMA):
                return
            self._kind, name = "postgresql", "platform/platform.pgdump"
            copied = self._scratch / "platform"
            [found] = postgresql.dump(
                source.database_url, DATABASE_SCHEMA, copied, _MIGRATIONS, without=LOGINS
            )
        else:
            if source.lacks_server or not source.database.exists():
                return
            self._kind, name = "sqlite", f"platform/{source.database.name}"
            copied = self._scratch / "platform"
            found = copy_sqlite(source.database, copied, _MIGRATIONS)
            empty(copied, LOGINS)
        self._migrations = {str(app): str(newest) for app, newest in found}
        self._take(name, copied)

    def files(self, *, keys: bool) -> None:
        """Copy the plain files, and mark each node as one that has voted."""
        for path in self._source.files(keys=keys):
            name = path.relative_to(self._source.root).as_posix()
            if is_safe(name) and path.is_file():
                self._writer.add(name, path)
        if kind := self._database_kind():
            self._writer.add_bytes(DATABASE_NOTE, f"{kind}\n".encode("ascii"))
        for node in self._source.nodes():
            self._writer.add_bytes(
                f"nodes/{node.id}/{STAMP}", b"Restored from a backup: this key may have voted.\n"
            )

    def end(self, *, keys: bool, covered: int) -> None:
        """Write the manifest."""
        genesis = self._genesis
        members = genesis.members if self._newest is None else self._newest.members
        mode = g.mode(genesis)
        certified = max((each.certified for each in self._ledgers), default=0)
        manifest = Manifest(
            format=FORMAT,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            program=_program(),
            cluster=g.cluster_id(genesis).hex(),
            name=genesis.name,
            members=tuple(member.id for member in members),
            demo=genesis.demo,
            keys=keys,
            covered=covered if covered <= certified else 0,
            database=self._kind,  # type: ignore[arg-type]
            migrations=self._migrations,
            ledgers=tuple(self._ledgers),
            files=tuple(self._writer.entries),
            addresses=self._addresses(),
            missing=tuple(self._missing),
            consensus=msgspec.UNSET if mode is Mode.PBFT else mode,
        )
        self._writer.close(manifest)

    def _database_kind(self) -> str:
        """Which kind of database what is restored will use; "" without a platform. One that was not found,
        and of which nothing is known, is on a server: a start without DATABASE_URL would begin an empty
        one."""
        noted, platform_id = self._source.noted()
        found = {"sqlite": "sqlite", "postgresql": "server"}.get(self._kind)
        return found or noted or ("server" if platform_id else "")

    def _addresses(self) -> dict[str, tuple[str, int]]:
        """Where members are reached, those of this folder as they keep it themselves."""
        members = self._genesis.members if self._newest is None else self._newest.members
        found = {member.id: (member.host, member.port) for member in members}
        try:
            moved = {node.id: moved_to(node) for node in self._source.nodes()}
        except StartError as error:
            raise BackupError(str(error)) from error
        return found | {name: at for name, at in moved.items() if at is not None}

    def _copied(self, name: str, place: LedgerPlace) -> LedgerCopy | None:
        copied = self._scratch / name
        found = copy_sqlite(place.location.database_file, copied, LOG)
        with closing(sqlite3.connect(copied)) as opened:
            epochs = opened.execute(_EPOCH).fetchall() if found else []
        self._learn(epochs)
        return self._ledger(name, place, found, copied)

    def _dumped(self, name: str, place: LedgerPlace) -> LedgerCopy | None:
        url, schema = place.location.url, place.location.schema
        copied = self._scratch / name
        selects = (_within(schema, LOG), _within(schema, _EPOCH))
        found, epochs = postgresql.dump(url, schema, copied, *selects)
        self._learn(epochs)
        return self._ledger(name, place, found, copied)

    def _ledger(
        self, name: str, place: LedgerPlace, found: list[tuple[object, ...]], copied: Path
    ) -> LedgerCopy | None:
        """Put a copy into the archive; None if the ledger was only just begun."""
        if not found:
            copied.unlink()
            return None
        schema, executed, certified = (int(str(each)) for each in found[0])
        kind, file = ("postgresql", "ledger.pgdump") if place.location.url else ("sqlite", DATABASE_FILE)
        path = f"learner/{file}" if name == LEARNER_SCHEMA else f"nodes/{name}/ledger/{file}"
        self._take(path, copied)
        if name != LEARNER_SCHEMA:
            self._writer.add_bytes(f"nodes/{name}/{WITNESS}", self._other_witness())
        return LedgerCopy(name, kind, path, schema, executed, certified, place.kind)  # type: ignore[arg-type]

    def _learn(self, rows: list[tuple[object, ...]]) -> None:
        for (value,) in rows:
            found = canonical.decode(Membership, bytes(value))  # type: ignore[call-overload]
            if self._newest is None or found.epoch > self._newest.epoch:
                self._newest = found

    def _other_witness(self) -> bytes:
        """A witness file of a ledger that does not exist."""
        folder = self._scratch / "witness"
        folder.mkdir(exist_ok=True)
        witness = Witness(Location(folder))
        try:
            witness.note(os.urandom(IDENTITY_SIZE), 0)
        finally:
            witness.close()
        return (folder / Path(WITNESS).name).read_bytes()

    def _take(self, name: str, copied: Path) -> None:
        self._writer.add(name, copied)
        copied.unlink()


def copy_sqlite(source: Path, target: Path, sql: str) -> list[tuple[object, ...]]:
    """Copy a database that may be in use to a new file, readable by its owner only; return the rows of a
    SELECT on the copy, [] if its tables are not there yet. Raises BackupError."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            closing(
                sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)
            ) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.execute("PRAGMA query_only=ON")
            old.backup(new)
            table = sql.rpartition(" FROM ")[2].split()[0]
            if not new.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchall():
                return []
            return new.execute(sql).fetchall()
    except sqlite3.Error as error:
        if os.statvfs(source.parent).f_flag & os.ST_RDONLY:  # SQLite cannot make its -shm file there
            told = "the disk is read-only: copy the folder to another one, and back that copy up (--data-dir)"
            raise BackupError(f"{source} cannot be copied, as {told}.") from error
        raise BackupError(f"{source} cannot be copied: {error}.") from error


def empty(database: Path, tables: Iterable[str]) -> None:
    """Delete all rows of these tables of a copy, and what is left of them in its file. Raises
    BackupError."""
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as copy:
            known = {str(name) for (name,) in copy.execute("SELECT name FROM sqlite_master")}
            for table in known.intersection(tables):
                copy.execute(f'DELETE FROM "{table}"')  # noqa: S608 - a name of ours
            copy.execute("PRAGMA journal_mode=DELETE")
            copy.execute("VACUUM")
    except sqlite3.Error as error:
        raise BackupError(f"{database} cannot be written: {error}.") from error


def _within(schema: str, sql: str) -> str:
    """The SQL with its tables in a schema, whose name has no quote."""
    return sql.replace("ledger_", f'"{schema}".ledger_')


def _program() -> str:
    return f"dtvn {__version__}, Python {platform.python_version()}"
