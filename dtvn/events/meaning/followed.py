"""A state or an activity as a client holds it, as long as it is small and flat enough to be followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.events.advice import NOT_JSON, STATE_BYTES, Document, TooLarge
from dtvn.events.meaning.json_values import DEPTH, deeper
from dtvn.events.rules import messages as m

ACTIVITY_BYTES = 8 * STATE_BYTES
"""Bound of all activities together, each counted with all that was added to it since it was measured."""
Patched = m.Add | m.Replace | m.Test | m.Remove | m.Move | m.Copy


class NotFollowedValue:
    """The value of what is not followed. It equals nothing, itself included."""

    def __repr__(self) -> str:
        return "not followed"


NOT_FOLLOWED = NotFollowedValue()


class Room:
    """How many bytes the documents that share it may still take."""

    def __init__(self, left: int) -> None:
        self.left = left


class Followed:
    """A document of at most STATE_BYTES and DEPTH levels. One that grows beyond, or that holds a number which
    cannot be read, is given up for good."""

    def __init__(self, text: bytes, room: Room | None = None) -> None:
        self._room = room or Room(ACTIVITY_BYTES)
        self._taken = 0
        try:
            self._document: Document | None = Document(text, STATE_BYTES)
        except (TooLarge, *NOT_JSON):
            self._document = None
        self._count()

    def apply(self, patch: Sequence[Patched]) -> bool:
        """Whether the patch applied; one that fails is dropped whole."""
        if self._document is None:
            return False
        try:
            # A path beyond DEPTH leads to nothing, or to what is nested too deep.
            if any(each.path.count("/") > DEPTH for each in patch):
                raise TooLarge
            applied = self._document.apply(patch) is None
        except (TooLarge, *NOT_JSON):
            self._document, applied = None, False
        self._count()
        return applied

    def leave(self) -> None:
        """Give the room back: another document takes the place of this one."""
        self._document = None
        self._count()

    @property
    def value(self) -> Any:
        """Its JSON value, or NOT_FOLLOWED."""
        if self._document is None or deeper(self._document.value, DEPTH):
            return NOT_FOLLOWED
        return self._document.value

    def _count(self) -> None:
        size = 0 if self._document is None else self._document.size
        if size - self._taken > self._room.left:
            self._document, size = None, 0
        self._room.left -= size - self._taken
        self._taken = size
