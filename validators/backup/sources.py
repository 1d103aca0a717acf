"""What a data folder holds for a backup: files by name, and where its ledgers and its database are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from dtvn.ledger import LedgerError, LedgerUnreachable, Location
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.learner import LEARNER_SCHEMA
from dtvn.node.ledger_place import ledger_schema, own_server
from dtvn.node.options import StartError, genesis_in, load_genesis
from dtvn.protocol import genesis as g
from validators.backup import postgresql
from validators.backup.forms import BackupError, PlaceKind
from validators.data_folder.folder import DataFolder
from validators.database_url import same_database
from validators.ledger.find import holds_ledger

CLUSTER_FILES = ("genesis.bin", "continued.state", "handovers.bin")
IDENTITY_FILES = ("genesis.bin", "sources.bin", "promise.bin", "address")
IDENTITY_KEYS = ("node.key", "api.key", "api.token")
"""Never `next.key` and `recovery.key`: a node that got one of these from a copy would take it for a key that
has never voted (R11)."""
STAMP = "identity/voted"
WITNESS = "ledger/ledger.turns"
LEDGER_URL = "ledger.url"
DATABASE_SCHEMA = "public"
DATABASE_FILE = "platform/platform.sqlite3"
DATABASE_NOTE = "platform/database"
SECRET_KEY = "secret.key"  # noqa: S105 - a file name


class LedgerPlace(msgspec.Struct, frozen=True):
    """Where a ledger is."""

    kind: PlaceKind
    location: Location


class Source(msgspec.Struct, frozen=True):
    """A data folder and the server that its platform uses."""

    root: Path
    database_url: str = ""
    """postgresql://... of the platform; "": SQLite files."""
    storage_url: str = ""
    """postgresql://... of a node's own ledger, as its environment names it (`DTVN_STORAGE_URL`)."""
    ledger_folders: dict[str, Path] = {}
    """Node -> folder of its ledger, for those whose settings name another (`storage.path`)."""

    @property
    def places(self) -> ClusterFolder:
        """Its paths."""
        return ClusterFolder(self.root)

    @property
    def database(self) -> Path:
        """The platform's database file, without a server."""
        return self.root / DATABASE_FILE

    @property
    def learner(self) -> Location:
        """Where the learner's ledger is or would be."""
        return Location.choose(self.places.learner, url=self.database_url, schema=LEARNER_SCHEMA)

    @property
    def lacks_server(self) -> bool:
        """Whether the platform's database is on a server that `database_url` does not name: files of an
        earlier time may lie in the folder. Raises BackupError."""
        return not self.database_url and self.noted()[0] == "server"

    def noted(self) -> tuple[str, str]:
        """What the folder tells of its platform: the kind of its database, and its id. Raises BackupError."""
        folder = DataFolder(self.root)
        try:
            return folder.database_kind(), folder.platform_id()
        except StartError as error:
            raise BackupError(str(error)) from error

    def check_database(self) -> None:
        """Raise BackupError unless `database_url` leads to the database of this folder's platform, as far as
        the folder tells."""
        if self.lacks_server:
            raise BackupError(f"The platform of {self.root} uses a database on a server: set DATABASE_URL.")
        kind, own = self.noted()
        if not self.database_url or not own:
            return
        found = postgresql.platform_id(self.database_url)
        if found != own and (found or kind == "sqlite"):
            raise BackupError(
                f"DATABASE_URL names another database than that of the platform of {self.root}."
            )

    def nodes(self) -> list[NodeFolder]:
        """Its nodes, by name."""
        found = sorted(path.name for path in self.places.nodes.glob("*") if (path / "identity").is_dir())
        return [self.places.node(name) for name in found]

    def genesis(self) -> g.Genesis:
        """The cluster's genesis; raise BackupError."""
        names = [node.id for node in self.nodes()]
        try:
            path = genesis_in(self.places, "" if self.places.genesis.exists() else names[0])
            return load_genesis(path)
        except IndexError as error:
            raise BackupError(f"{self.root} holds no cluster: give its data folder (--data-dir).") from error
        except StartError as error:
            raise BackupError(str(error)) from error

    def ledgers(self, genesis: g.Genesis) -> dict[str, LedgerPlace | None]:
        """Name -> where the ledger is, of each node and of the learner; None: it was not found, or
        its own server does not answer. Raises BackupError."""
        try:
            found = {node.id: _first(self._places(node, genesis)) for node in self.nodes()}
            if self.places.learner_key.exists():
                kind: PlaceKind = "platform" if self.database_url else "beside"
                found[LEARNER_SCHEMA] = (
                    None if self.lacks_server else _first([LedgerPlace(kind, self.learner)])
                )
        except (StartError, LedgerError) as error:
            raise BackupError(str(error)) from error
        return found

    def _places(self, node: NodeFolder, genesis: g.Genesis) -> Iterator[LedgerPlace]:
        """Where a node's ledger may be, the most certain first: a move writes the server into the folder."""
        folder = self.ledger_folders.get(node.id, node.ledger)
        schema = ledger_schema(genesis, node.id)
        for url in dict.fromkeys((own_server(node), "", self.storage_url, self.database_url)):
            kind: PlaceKind = "own" if url else "beside"
            if same_database(url, self.database_url):
                kind = "platform"
            yield LedgerPlace(kind, Location.choose(folder, url=url, schema=schema))

    def files(self, *, keys: bool) -> Iterator[Path]:
        """The files that are copied as they are; `keys`: the private ones too."""
        yield from (self.places.cluster / name for name in CLUSTER_FILES)
        yield DataFolder(self.root).identity
        for node in self.nodes():
            yield from (node.identity / name for name in IDENTITY_FILES + keys * IDENTITY_KEYS)
            yield node.root / "ports.json"
            if keys:  # it holds a password
                yield node.ledger_url
        if keys:
            yield self.root / SECRET_KEY
            if self.places.keys.is_dir():
                named = (entry.name for entry in os.scandir(self.places.keys) if entry.is_file())
                for name in sorted(named):
                    if not name.startswith(".") and not name.endswith(".next"):
                        yield self.places.keys / name


def _first(places: Iterable[LedgerPlace]) -> LedgerPlace | None:
    """The first place that holds a ledger; None also if a node's own server may, which does not answer."""
    for each in places:
        try:
            if holds_ledger(each.location):
                return each
        except LedgerUnreachable:
            if each.kind != "own":  # without the platform's server there is no backup
                raise
            return None
    return None
