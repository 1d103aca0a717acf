"""What a data folder holds for a backup: files by name, and where its ledgers and its database are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dtvn.ledger import Location
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.learner import LEARNER_SCHEMA
from dtvn.node.ledger_place import ledger_schema, own_server
from dtvn.node.options import StartError, genesis_in, read_genesis_to_start
from dtvn.protocol import genesis as g
from validators.backup.forms import BackupError
from validators.data_folder.folder import DataFolder

CLUSTER_FILES = ("genesis.bin", "continued.state", "handovers.bin")
IDENTITY_FILES = ("genesis.bin", "sources.bin", "promise.bin")
IDENTITY_KEYS = ("node.key", "api.key", "api.token")
"""Never `next.key` and `recovery.key`: a node that got one of these from a copy would take it for a key that
has never voted (R11)."""
STAMP = "identity/voted"
WITNESS = "ledger/ledger.turns"
DATABASE_SCHEMA = "public"
DATABASE_FILE = "platform/platform.sqlite3"
SECRET_KEY = "secret.key"  # noqa: S105 - a file name


class Source(msgspec.Struct, frozen=True):
    """A data folder and the server that its platform uses."""

    root: Path
    database_url: str = ""
    """postgresql://... of the platform; "": SQLite files."""

    @property
    def places(self) -> ClusterFolder:
        """Its paths."""
        return ClusterFolder(self.root)

    @property
    def database(self) -> Path:
        """The platform's database file, without a server."""
        return self.root / DATABASE_FILE

    def nodes(self) -> list[NodeFolder]:
        """Its nodes, by name."""
        found = sorted(path.name for path in self.places.nodes.glob("*") if (path / "identity").is_dir())
        return [self.places.node(name) for name in found]

    def genesis(self) -> g.Genesis:
        """The cluster's genesis; raise BackupError."""
        names = [node.id for node in self.nodes()]
        try:
            path = genesis_in(self.places, "" if self.places.genesis.exists() else names[0])
            return read_genesis_to_start(path)
        except IndexError as error:
            raise BackupError(f"{self.root} holds no cluster: give its data folder (--data-dir).") from error
        except StartError as error:
            raise BackupError(str(error)) from error

    def ledgers(self, genesis: g.Genesis) -> dict[str, Location]:
        """Name -> where a ledger would be, of each node and of the learner."""
        names = [node.id for node in self.nodes()]
        if self.places.learner_key.exists():
            names.append(LEARNER_SCHEMA)
        return {name: self.ledger(genesis, name) for name in names}

    def ledger(self, genesis: g.Genesis, name: str) -> Location:
        """Where the ledger of a node, or of the learner, is or would be: a node's beside it, on its own
        server or, as in earlier versions, on the platform's. Raises BackupError."""
        if name == LEARNER_SCHEMA:
            return Location.choose(self.places.learner, url=self.database_url, schema=LEARNER_SCHEMA)
        node = self.places.node(name)
        try:
            url = own_server(node)
        except StartError as error:
            raise BackupError(str(error)) from error
        if not url and not Location(node.ledger).database_file.exists():
            url = self.database_url
        return Location.choose(node.ledger, url=url, schema=ledger_schema(genesis, name))

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
