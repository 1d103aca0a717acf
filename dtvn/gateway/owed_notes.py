"""Owed judgements as signed items: for which runs that a process judged alone the members owe one (R46).

The author is the node that judged. Its events stay with it: a note says that, of which run, and since when. A
note is replaced as the run grows, and ends as a tombstone when the members have judged. It changes no
verdict.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.gateway.owed import OwedSummary
from dtvn.protocol import canonical
from dtvn.sync import Item, ItemError

__all__ = ["OWED", "OwedNote", "note_of", "noted"]

OWED = "owed"
"""The kind of these items; their key is the id of the owed run at its node."""
Name = Annotated[str, msgspec.Meta(max_length=1024)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class OwedNote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One owed run, as its node tells others."""

    thread: Name
    run: Name
    made: Count
    """When its first event was judged there, Unix microseconds."""
    events: Count
    bytes: Count
    """Of the texts of these events."""


def noted(owed: OwedSummary) -> bytes:
    """The value of an owed run's item."""
    made = int(owed.made.timestamp() * 1_000_000)
    return canonical.encode(OwedNote(owed.thread[:1024], owed.run[:1024], made, owed.events, owed.bytes))


def note_of(item: Item) -> OwedNote:
    """Read an item of kind "owed"; raise ItemError for any other item."""
    try:
        return canonical.decode(OwedNote, item.value)
    except canonical.CanonicalError as error:
        raise ItemError(f"value: {error}") from error
