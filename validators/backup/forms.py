"""The manifest of a backup, and the error of everything that makes or reads one."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dtvn.protocol.quorum import Mode

FORMAT = "dtvn-backup/2"
FORMATS = frozenset({"dtvn-backup/1", FORMAT})
"""Those that are restored. The first one tells neither places of ledgers nor addresses of members."""

PlaceKind = Literal["beside", "platform", "own"]
"""Where a ledger is: in a file, on the platform's server, or on a server of its own."""
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class BackupError(Exception):
    """A backup that was not made, or not restored; the text is a sentence for the operator."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the archive."""

    path: str
    """Below the data folder, with slashes."""
    size: int
    """Bytes."""
    sha256: str
    """64 hexadecimal digits."""


class LedgerCopy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The copy of one ledger."""

    name: str
    """The node's id, or `learner`."""
    kind: Literal["sqlite", "postgresql"]
    path: str
    """The file in the archive: a database, or what pg_dump wrote."""
    schema: int
    """Version of its tables."""
    executed: int
    """Sequence of its last entry; 0 without one."""
    certified: int
    """Sequence of its newest stable checkpoint, which `genesis continue` can begin with; 0 without one."""
    place: PlaceKind | Literal[""] = ""
    """Where it was; "" in an archive of the first form."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last file of the archive: what it is a backup of, and the SHA-256 of each other file."""

    format: str
    made_at: str
    """ISO 8601, UTC."""
    program: str
    """Version of the program that made it."""
    cluster: str
    """Cluster id, hexadecimal."""
    name: str
    members: tuple[str, ...]
    """Members of the newest epoch that a copied ledger knows."""
    demo: bool
    """Whether one party holds the keys of all founding members."""
    keys: bool
    """Whether it holds private keys."""
    covered: int
    """Everything acknowledged before the backup began has this sequence or a lower one, and a copied ledger
    has certified it; 0: not known."""
    database: Literal["", "sqlite", "postgresql"]
    """The platform's database; "": none."""
    migrations: dict[str, str]
    """App -> the newest migration in the platform's database."""
    ledgers: tuple[LedgerCopy, ...]
    files: tuple[Entry, ...]
    addresses: dict[str, tuple[str, Port]] = {}
    """Member -> (host, port) in the newest epoch that a copied ledger knows, or where it moved since."""
    missing: tuple[str, ...] = ()
    """Nodes, and `learner`, whose ledgers were not found."""
    consensus: Mode | msgspec.UnsetType = msgspec.UNSET
    """How the members agree; left out for PBFT, so that a program that knows no other mode reads it."""

    @property
    def mode(self) -> Mode:
        """How the members agree."""
        return Mode.PBFT if isinstance(self.consensus, msgspec.UnsetType) else self.consensus

    @property
    def lacks_database(self) -> bool:
        """Whether the folder had a platform whose database was not found."""
        return not self.database and any(each.path == "platform/identity" for each in self.files)

    @property
    def certified(self) -> LedgerCopy | None:
        """The copy with the newest certified state; None if no copy has one."""
        held = [each for each in self.ledgers if each.certified]
        return max(held, key=lambda each: each.certified, default=None)

    def ledger(self, name: str) -> LedgerCopy | None:
        """The copy of one ledger."""
        return next((each for each in self.ledgers if each.name == name), None)
