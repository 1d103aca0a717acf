"""Cells that hold several codes."""

from __future__ import annotations

import re

SEPARATOR = re.compile(r"[,;|\s]+")
VISIBLE = re.compile(r"[,;|\n]")
"""A separator that stands in few codes; between spaces the parts must be longer."""
PART = re.compile(r"[\w.:+/=-]{4,}")
SHORTEST_BETWEEN_SPACES = 6


def codes_in(cell: str) -> list[str]:
    """The parts of a cell."""
    return [part for part in SEPARATOR.split(cell) if part]


def is_list_of_codes(cell: str) -> bool:
    """Whether a cell has several parts that all look like codes. JSON and a URL have not."""
    parts = codes_in(cell)
    if len(parts) < 2:
        return False
    shortest = 0 if VISIBLE.search(cell) else SHORTEST_BETWEEN_SPACES
    return all(
        len(part) >= shortest and PART.fullmatch(part) and any(map(str.isdigit, part)) and "://" not in part
        for part in parts
    )
