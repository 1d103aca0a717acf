"""JSON values: one small number for each, how deep they are, and the ids within them."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

DEPTH = 128
"""Levels of a JSON value that are followed and compared, as many as the rules let one event have."""


def deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested deeper than this."""
    level = [value]
    for _ in range(levels + 1):
        level = [
            each
            for container in level
            if isinstance(container, dict | list)
            for each in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return False
    return True


def read(text: str) -> tuple[bool, Any]:
    """(whether a text is JSON that can be compared, its value)."""
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return False, None
    return not deeper(value, DEPTH), value


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class Keys:
    """One number for each JSON value: 1 and 1.0 are one value, and the order of members is free. The values
    must live as long as this."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._known: dict[int, int] = {}
        """Id of a list or an object in memory -> its number, so that none is walked twice."""

    def of(self, value: Any) -> int:
        """The number of this value."""
        if not isinstance(value, dict | list):
            return self._number((isinstance(value, bool), value))
        found = self._known.get(id(value))
        if found is None:
            if isinstance(value, dict):
                found = self._number(frozenset((name, self.of(each)) for name, each in value.items()))
            else:
                found = self._number(("list", *map(self.of, value)))
            self._known[id(value)] = found
        return found

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))
