"""Keys are sorted by their bytes on both databases, whatever the locale of a server."""

from __future__ import annotations

from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper

from validators.ledger.fields import KeyField


def test_a_server_sorts_keys_by_their_bytes() -> None:
    field = KeyField(max_length=9)
    server = DatabaseWrapper({"NAME": "any"})
    assert field.db_parameters(server)["collation"] == "C"
    assert field.db_parameters(connection)["collation"] is None
