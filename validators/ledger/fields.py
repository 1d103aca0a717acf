"""Columns that behave the same on SQLite and on PostgreSQL: the order of keys and the numbering of rows."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class SequenceField(models.BigIntegerField):
    """A 64-bit number which, as a primary key on SQLite, is the row id of the table.

    SQLite makes only `integer primary key` an alias of the row id; `bigint` would cost a second
    tree, and rows appended in order would no longer be appended to the file in order.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "integer" if connection.vendor == "sqlite" else super().db_type(connection)


class RowNumberField(models.BigAutoField):
    """A row number assigned by the database, without SQLite's AUTOINCREMENT bookkeeping table."""

    def db_type_suffix(self, connection: BaseDatabaseWrapper) -> str | None:
        return None if connection.vendor == "sqlite" else super().db_type_suffix(connection)


class KeyField(models.CharField):
    """Text ordered by its UTF-8 bytes on both databases, so that both give the pages of a list alike."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters
