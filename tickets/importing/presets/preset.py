"""What a preset says about the export of one ticket shop: data, no code."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from tickets.importing.words import names, values


class Decider(msgspec.Struct, frozen=True):
    """A column that says yes or no about each row, under each of its names."""

    columns: tuple[str, ...]
    yes: frozenset[str]
    """Folded values; "" for an empty cell, "*" for every other text."""
    no: frozenset[str]


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """The export of one ticket shop, recognised by its header."""

    name: str
    needs: tuple[tuple[str, ...], ...]
    """The header has one column of each of these."""
    code: tuple[str, ...] = ()
    """Names of the column that the scanner reads; () if what is scanned is not in the file."""
    lacks: str = ""
    """What the file lacks, and how to get it: shown where `code` has no column in the file."""
    fields: Mapping[str, tuple[str, ...]] = {}
    """Field of words.FIELDS -> names of its columns; a field with () is not read."""
    ids: tuple[str, ...] = ()
    """Columns that name the tickets, for people, in order of preference."""
    statuses: tuple[Decider, ...] = ()
    """Columns that say who comes in; all must say yes."""
    entries: tuple[Decider, ...] = ()
    """Columns that say who has entered; "*" may be the time."""
    ignored: tuple[str, ...] = ()
    """Columns that decide nothing, though they part the rows."""
    series: tuple[str, ...] = ()
    """Columns that all say of which date of a series a ticket is, in order of preference."""
    admission: str = ""
    """Column that says of each row's product whether it is an entrance: yes or no."""
    own: tuple[str, ...] = ()
    """Of our own exports: the columns that `importing.own` reads."""

    def fits(self, header: Collection[str]) -> bool:
        """Whether a file with these normalised columns is such an export."""
        return all(any(name in header for name in alternatives) for alternatives in self.needs)


def status(columns: str, *, admits: str, refuses: str = "") -> Decider:
    """A column of statuses, from texts "a|b"."""
    return Decider(names(columns), values(admits), values(refuses) if refuses else frozenset())


def entry(columns: str, *, entered: str = "*", outside: str = "") -> Decider:
    """A column of entries, from texts "a|b"; an empty cell is of a guest who has not entered."""
    return Decider(names(columns), values(entered) - {""}, values(outside) | {""})


YES = "yes|true|1|ja|oui|si|sí|y"
NO = "no|false|0|nein|non|n"
