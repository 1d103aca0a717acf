"""What an archive holds for PostgreSQL servers: where each dump goes, and bringing it there.

A ledger returns to the kind of place where it was: the platform's server (`DATABASE_URL`), or a server of its
own, which `--ledger-url` names, else the archive's own `ledger.url` (it has a password, so it is there with
keys only), else `DTVN_STORAGE_URL`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

import msgspec

from dtvn.files.whole import write_private
from dtvn.ledger import LedgerError, Location
from dtvn.node.layout import ClusterFolder
from dtvn.node.learner import LEARNER_SCHEMA
from dtvn.node.ledger_place import ledger_schema
from dtvn.protocol import genesis as g
from dtvn.protocol.host.ports import JournalError
from validators.backup import postgresql
from validators.backup.archive import read
from validators.backup.forms import BackupError, LedgerCopy, Manifest, PlaceKind
from validators.backup.sources import DATABASE_FILE, DATABASE_SCHEMA, LEDGER_URL, Source
from validators.ledger import open_ledger

DATABASE_DUMP = "platform/platform.pgdump"


class Archive(msgspec.Struct, frozen=True):
    """An archive that was verified."""

    path: Path
    manifest: Manifest
    genesis: g.Genesis


class Dump(msgspec.Struct, frozen=True):
    """One schema of an archive, and the server that takes it."""

    path: str
    """The dump in the archive."""
    url: str
    schema: str
    node: str = ""
    """The node whose ledger it is; "": the learner's, or the platform's database."""
    own: bool = False
    """Whether the node must be told its server."""


def dumps_of(archive: Archive, target: Source, urls: Mapping[str, str], names: Container[str]) -> list[Dump]:
    """The dumps among the files `names`. `urls`: node -> the server that the operator names for its ledger.
    Raises BackupError unless each has a free place."""
    manifest = archive.manifest
    if target.database_url and manifest.database == "sqlite" and DATABASE_FILE in names:
        raise BackupError(
            "The archive's database is an SQLite file, which a platform with DATABASE_URL never reads: unset "
            "DATABASE_URL, restore, and start the platform without it."
        )
    copies = [each for each in manifest.ledgers if each.kind == "postgresql" and each.path in names]
    if unknown := sorted(urls.keys() - {each.name for each in copies if each.name != LEARNER_SCHEMA}):
        raise BackupError(f"--ledger-url {unknown[0]}: the archive holds no ledger of it from a server.")
    found = [_ledger_dump(archive, target, urls, copy) for copy in copies]
    if DATABASE_DUMP in names:
        found.append(Dump(DATABASE_DUMP, _platforms(target, DATABASE_DUMP), DATABASE_SCHEMA))
    for dump in found:
        if postgresql.occupied(dump.url, dump.schema):
            where = f" (--ledger-url {dump.node}=FILE)" if dump.own else ""
            raise BackupError(
                f"Schema {dump.schema} on the server holds tables: name an empty database{where}."
            )
    return found


def fill(dumps: list[Dump], staged: Path, genesis: g.Genesis) -> None:
    """Restore dumps from the files below `staged`, and remove these. Raises BackupError, which names what is
    on a server nevertheless."""
    filled: list[str] = []
    for dump in dumps:
        try:
            postgresql.restore(dump.url, staged / dump.path)
            filled.append(dump.schema)
            if dump.node:
                _settle(dump, staged, genesis)
        except (BackupError, LedgerError, JournalError, OSError) as error:
            kept = f", except on the server: schema {', '.join(filled)}" if filled else ""
            raise BackupError(f"{error} Nothing is restored{kept}.") from error
        (staged / dump.path).unlink()


def _settle(dump: Dump, staged: Path, genesis: g.Genesis) -> None:
    """Mark a restored ledger itself as a copy, since its node may keep its witness elsewhere (R11); and store
    which server has it. Raises LedgerError, JournalError, OSError."""
    node = ClusterFolder(staged).node(dump.node)
    open_ledger(
        Location(node.ledger, dump.url, dump.schema),
        cluster_id=g.cluster_id(genesis),
        alias="restored",
        expect_existing=True,
    ).close()
    if dump.own:
        write_private(node.ledger_url, f"{dump.url}\n".encode(), replace=True)
    else:  # it would name the server of the time of the backup
        node.ledger_url.unlink(missing_ok=True)


def _ledger_dump(archive: Archive, target: Source, urls: Mapping[str, str], copy: LedgerCopy) -> Dump:
    if copy.name == LEARNER_SCHEMA:
        return Dump(copy.path, _platforms(target, copy.path), LEARNER_SCHEMA)
    schema = ledger_schema(archive.genesis, copy.name)
    own = urls.get(copy.name, "")
    if not own and _place(archive, copy) == "platform":
        return Dump(copy.path, _platforms(target, copy.path), schema, copy.name)
    own = own or _kept_url(archive, copy.name) or target.storage_url
    if not own:
        raise BackupError(
            f"The ledger of {copy.name} was on a server of its own, and the archive does not name it: name "
            f"an empty database, --ledger-url {copy.name}=FILE with its URL in the file, or DTVN_STORAGE_URL."
        )
    return Dump(copy.path, own, schema, copy.name, own=True)


def _place(archive: Archive, copy: LedgerCopy) -> PlaceKind:
    """Where a ledger was; from an archive of the first form what its content shows."""
    if copy.place:
        return copy.place
    kept = _kept_url(archive, copy.name)
    return "platform" if archive.manifest.database == "postgresql" and not kept else "own"


def _kept_url(archive: Archive, node: str) -> str:
    """The URL of a node's own server in the archive; "" without one."""
    name = f"nodes/{node}/{LEDGER_URL}"
    if all(each.path != name for each in archive.manifest.files):
        return ""
    return read(archive.path, name).decode(errors="replace").strip()


def _platforms(target: Source, name: str) -> str:
    """The platform's server; raise BackupError if the target has none."""
    if not target.database_url:
        raise BackupError(f"{name} belongs on a PostgreSQL server: set DATABASE_URL.")
    return target.database_url
