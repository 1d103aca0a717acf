"""One row of a file, before anybody knows what its columns mean."""

from __future__ import annotations

import msgspec

__all__ = ["FileRefused", "Record", "normalised"]


class FileRefused(ValueError):
    """The file as a whole cannot be read; the text says why and what to do."""


class Record(msgspec.Struct, frozen=True):
    """One row. `problem` is a sentence when its shape is wrong; then `fields` is empty."""

    number: int
    fields: dict[str, str]
    """By normalised column name (see `normalised`); of columns that nobody reads and that share a name, and
    of those that pretix has twice, the first."""
    problem: str = ""


def normalised(name: str) -> str:
    """A column name as it is compared: lower case, words parted by one space."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())
