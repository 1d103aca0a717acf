"""The cells of a JSON object: each text in it has a column, however deep it stands, since any may decide.

A text in an object inside it is at "name of the object, name"; one in a list at "name (a list)", or at
"name (a list) key" if the list holds objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dtvn.wording import counted
from tickets.importing.jsontext import Unreadable, cell
from tickets.importing.record import normalised

LIST = " (a list)"
"""Ends the name of a column that stands for a list."""
DEPTH_MAX = 40
"""Objects and lists inside each other."""
NAME_MAX = 1000
"""Characters of a column's name, which has those of all objects around it."""
DIFFERS = "given twice, with different texts"
"""Two texts of an object have the same column."""


class Unclear(ValueError):
    """An object whose meaning is ambiguous, or which is beyond a bound; the message completes "row 7"."""


class Flat(NamedTuple):
    """Cells by column, and why some are not the texts that were meant: see Record."""

    fields: dict[str, str]
    damaged: dict[str, str]

    def named(self, form: str) -> Flat:
        """These under the names "{}" of a form, without the empty ones."""
        fields = {form.format(name): text for name, text in self.fields.items() if text}
        return Flat(fields, {form.format(name): why for name, why in self.damaged.items()})

    def within(self, around: Flat) -> Flat:
        """These, with those of what stands around them."""
        fields, damaged = self.fields | around.fields, around.damaged | self.damaged
        for name in around.fields.keys() & self.fields.keys():
            fields[name], differs = _one_text([self.fields[name], around.fields[name]])
            if differs:
                damaged[name] = DIFFERS
        return Flat(fields, damaged)


class Cells:
    """Collects the cells of an object."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._damaged: dict[str, str] = {}
        self._filled = 0

    def take(self, item: Mapping[str, Any], before: str = "", depth: int = 1) -> None:
        """Collect all texts of an object; raises Unclear. `before`: what its columns' names begin with."""
        for key, value in item.items():
            self._take(value, f"{before}{normalised(key)}", depth)

    def add(self, name: str, value: Any) -> None:
        """Collect one text."""
        text, why = cell(value)
        self._texts.setdefault(name, []).append(text)
        self._filled += bool(text)
        if why:
            self._damaged[name] = why

    def flat(self) -> Flat:
        """What was collected: of a list all texts, of another column the only one, or those that differ."""
        fields, damaged = {}, dict(self._damaged)
        for name, texts in self._texts.items():
            if LIST in name:
                fields[name] = ", ".join(filter(None, texts))
            else:
                fields[name], differs = _one_text(texts)
                if differs:
                    damaged[name] = DIFFERS
        return Flat(fields, damaged)

    def _take(self, value: Any, name: str, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise Unclear(f"is nested more than {DEPTH_MAX} deep in {name[:40]!r}")
        if len(name) > NAME_MAX:
            raise Unclear(f"has a name of more than {NAME_MAX} characters, {name[:40]!r}")
        match value:
            case Unreadable():
                raise Unclear(f"{value.reason} in {name[:40]!r}")
            case dict():
                self.take(value, f"{name} ", depth + 1)
            case list():
                self._take_list(value, name if name.endswith(LIST) else name + LIST, depth + 1)
            case _:
                self.add(name, value)

    def _take_list(self, value: list[Any], name: str, depth: int) -> None:
        before = self._filled
        for item in value:
            self._take(item, name, depth)
        if value and self._filled == before:  # that there is a list may decide as well
            self.add(name, counted(len(value), "item"))


def list_of(column: str) -> str:
    """The column of the outermost list that a text stands in, "" if it stands in none."""
    name, found, _ = column.partition(LIST)
    return name + found if found else ""


def _one_text(texts: Iterable[str]) -> tuple[str, bool]:
    """The texts of one column, each once, and whether they differ."""
    filled = dict.fromkeys(filter(None, texts))
    return ", ".join(filled), len(filled) > 1
