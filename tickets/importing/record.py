"""One row of a file, before its columns are interpreted."""

from __future__ import annotations

import msgspec


class FileRefused(ValueError):
    """The file as a whole cannot be read; the message gives the reason and the remedy."""


class Settings(msgspec.Struct, frozen=True):
    """Names of an import's settings for messages: those of the command or of the page."""

    event: str
    slug: str
    timezone: str
    columns: str
    column: str
    """How one FIELD=NAME is quoted; {} stands for it."""


COMMAND_LINE = Settings("--event", "--slug", "--timezone", "--column", "--column {}")
PAGE = Settings(
    '"Event"',
    '"Event slug in pretix"',
    '"Time zone"',
    '"Columns with other names"',
    '{} in "Columns with other names"',
)


class Record(msgspec.Struct, frozen=True):
    """One row. If its shape is wrong, `problem` is a sentence and `fields` is empty."""

    number: int
    fields: dict[str, str]
    """Cells by normalised column name (see `normalised`). Of unused columns that share a name, and of those
    that pretix has twice, the first one counts. A filled cell without a column name is at "column 2"; a list
    in JSON, which is not read, leaves "name (a list)"."""
    problem: str = ""


def normalised(name: str) -> str:
    """A column name in the form used for comparison: lower case, words separated by one space."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())
