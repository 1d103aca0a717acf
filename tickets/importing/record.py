"""One row of a file, before its columns are interpreted."""

from __future__ import annotations

import msgspec


class FileRefused(ValueError):
    """The file as a whole cannot be read; the message gives the reason and the remedy."""


class Record(msgspec.Struct, frozen=True):
    """One row. If its shape is wrong, `problem` is a sentence and `fields` is empty."""

    number: int
    fields: dict[str, str]
    """Cells by normalised column name (see `normalised`). Of unused columns that share a name, and of those
    that pretix has twice, the first one counts."""
    problem: str = ""


def normalised(name: str) -> str:
    """A column name in the form used for comparison: lower case, words separated by one space."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())
