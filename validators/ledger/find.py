"""Finds the ledger of a node, so that no node begins an empty one while another of its own exists.

A ledger lies beside its node, or on the server that the node's own setting names. Before that was so, it lay
on the platform's server (`DATABASE_URL`): there it stays in use until it is moved (`move`). Whatever put it
there, the place has a warning.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from dtvn.ledger import FoundLedger, LedgerElsewhere, LedgerUnreachable, Location
from validators.database_url import same_database, same_server
from validators.ledger.location import BUSY_SECONDS
from validators.ledger.witness import seen_in

PATIENCE = 10
"""Seconds for a connection to a server."""


def find_ledger(
    folder: Path, *, node: str, schema: str, own_url: str = "", platform_url: str = ""
) -> FoundLedger:
    """See FindLedger."""
    beside = Location(folder)
    wanted = Location(folder, own_url, schema) if own_url else beside
    shared = same_database(own_url, platform_url)
    warning = ""
    if shared:
        warning = _in_platforms_database(node, wanted)
    elif same_server(own_url, platform_url):
        warning = (
            f"the ledger of {node} is on the platform's own server (DATABASE_URL): both fail together with it"
        )
    if holds_ledger(wanted):
        return FoundLedger(wanted, warning)
    others = [beside] if own_url else []
    if platform_url and not shared:
        others.append(Location(folder, platform_url, schema))
    for other in others:
        if not holds_ledger(other):
            continue
        if own_url:
            raise LedgerElsewhere(
                f"The ledger of {node} is in {other.name}, and its own setting names a server without "
                f"it. Take the setting back, or move the ledger (manage.py move_ledger {node} --to-server)."
            )
        return FoundLedger(other, _in_platforms_database(node, other))
    if seen_in(folder):
        raise LedgerElsewhere(
            f"{node} had a ledger, and there is none in {wanted.name}. If it is on a server, name that "
            f"(DATABASE_URL if it is the platform's); if it is lost, move {folder} away."
        )
    return FoundLedger(wanted, warning)


def holds_ledger(location: Location) -> bool:
    """Whether a ledger was made at `location`, damaged or not; changes nothing. Raises LedgerUnreachable."""
    return _server_holds(location) if location.url else _file_holds(location.database_file)


def _file_holds(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)
        ) as file:
            return file.execute("SELECT 1 FROM ledger_ledgermeta").fetchone() is not None
    except sqlite3.DatabaseError as error:
        return "no such table" not in str(error)  # opening it reports what is wrong with it


def _server_holds(location: Location) -> bool:
    import psycopg  # where a server is used

    table = f'"{location.schema}".ledger_ledgermeta'
    try:
        with psycopg.connect(location.url, connect_timeout=PATIENCE) as server:
            if server.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
                return False
            found = server.execute(f"SELECT 1 FROM {table}".encode())  # noqa: S608 - a checked name
            return found.fetchone() is not None
    except psycopg.Error as error:
        raise LedgerUnreachable(
            f"PostgreSQL does not answer for {location.name}: {str(error).strip()}."
        ) from error


def _in_platforms_database(node: str, location: Location) -> str:
    return (
        f"the ledger of {node} is in the platform's database ({location.name}): members whose ledgers share "
        f"a server fail together with it. Stop {node}, then move its ledger: manage.py move_ledger {node}"
    )
