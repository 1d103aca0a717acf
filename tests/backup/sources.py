"""A node's folder as it was before a backup, with the platform's beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import genesis as g
from tests.proof.continuing import keep, old_log
from validators.backup.sources import Source


def source_with_keys(root: Path, secrets: Iterable[str]) -> Source:
    """One node with a ledger of 12 entries, these files with secrets, and the platform's keys."""
    log = old_log(12)
    keep(log, root, stable=10)
    node = ClusterFolder(root).node("r0")
    for name in secrets:
        write_private(node.root / name, f"{name} secret".encode())
    for name in ("gateway.key", "gateway.key.next", "learner.key", "platform.json"):
        write_private(root / "keys" / name, f"{name} secret".encode())
    write_private(root / "secret.key", b"secret")
    write_private(root / "cluster" / "genesis.bin", g.encode(log.genesis))
    (root / "platform").mkdir()
    with sqlite3.connect(root / "platform" / "platform.sqlite3") as database:
        database.executescript(
            "CREATE TABLE django_migrations (app TEXT, name TEXT);"
            "INSERT INTO django_migrations VALUES ('validators', '0001_initial');"
        )
    return Source(root)
