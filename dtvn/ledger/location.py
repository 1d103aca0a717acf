"""The location of a ledger: always a folder of its own, for its lock and witness; its tables are in an SQLite
file in that folder, or in a PostgreSQL schema of their own."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from dtvn.ledger.errors import LedgerUnreachable

DATABASE_FILE = "ledger.sqlite3"
SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Location(msgspec.Struct, frozen=True):
    """A folder, and for PostgreSQL a server URL and a schema."""

    folder: Path
    url: str = ""
    """postgresql://user:password@host:port/database, or "" for SQLite."""
    schema: str = ""

    @classmethod
    def of(cls, place: Location | Path | str) -> Location:
        """Accept a folder in place of a location: an SQLite ledger in it."""
        return place if isinstance(place, Location) else cls(folder=Path(place))

    @classmethod
    def choose(cls, folder: Path, *, url: str, schema: str) -> Location:
        """SQLite in `folder` if `url` is "", else `schema` on that server."""
        return cls(folder=folder, url=url, schema=schema) if url else cls(folder=folder)

    def __post_init__(self) -> None:
        if self.url and urlsplit(self.url).scheme not in {"postgresql", "postgres"}:
            raise LedgerUnreachable("A ledger's database URL must start with postgresql://.")
        if self.url and not SCHEMA_NAME.fullmatch(self.schema):
            raise LedgerUnreachable(
                f"A ledger's schema is named by 1 to 63 of a-z, 0-9 and _, not {self.schema!r}."
            )

    @property
    def database_file(self) -> Path:
        """The SQLite file."""
        return self.folder / DATABASE_FILE

    @property
    def name(self) -> str:
        """The location without a password, for messages."""
        return f"schema {self.schema}" if self.url else str(self.folder)
