"""tests/docs/names.json: the names of the contract of agent events, and those of Python."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, TypedDict

from dtvn.events.rules import SUGGESTIONS

TABLE = Path(__file__).with_name("names.json")
RULE = "rule"
"""Module of a rule id."""


class Other(TypedDict):
    """What stands for a name of the contract."""

    python: str
    """`module:Class.name` or `rule:ID`; "": nothing does."""
    why: str


class Part(TypedDict):
    """The names of one part of the contract."""

    about: str
    python: str
    """`module:Class`."""
    same: list[str]
    """Names that this class has too."""
    others: dict[str, Other]


def parts() -> list[Part]:
    """All parts, in the contract's order."""
    found: list[Part] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def exists(path: str) -> bool:
    """Whether there is a `module:Class.name`, an annotated attribute of a class included, or a rule id."""
    module, _, names = path.partition(":")
    if module == RULE:
        return names in SUGGESTIONS
    found: Any = importlib.import_module(module)
    for name in names.split("."):
        if isinstance(found, dict):
            return name in found
        if not hasattr(found, name):
            return name in getattr(found, "__annotations__", {})
        found = getattr(found, name)
    return True


def short(path: str) -> str:
    """The name without its module, as code."""
    return f"`{path.partition(':')[2]}`" if path else "-"
