"""Ids that a stream gave and that its tool results and its state repeat.

A false "the same" is worse than a false difference. So an id is only taken for a reference where it is a
whole value, in a state or a tool result, and looks as programs make ids, not as a word.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from dtvn.events.meaning.conversation import Conversation

_SIGNS = re.compile(r"[A-Za-z0-9_.:-]+")
_RUN = re.compile(r"[A-Za-z0-9]{8,}")


class Reference(Struct, frozen=True):
    """Stands in the place of an id. Equal to no text."""

    to: str

    def __repr__(self) -> str:
        return f"(id of {self.to})"


def looks_made(identifier: str) -> bool:
    """Whether an id has eight letters and digits in a row, of both sorts, as UUIDs and ids of model
    providers have; and no sign that such ids do not have."""
    if not _SIGNS.fullmatch(identifier):
        return False
    return any(not run.isalpha() and not run.isdigit() for run in _RUN.findall(identifier))


def references_of(conversation: Conversation, runs: dict[str, str]) -> dict[str, Reference]:
    """Id -> what it names, for those that look made; `runs`: those of threads and runs."""
    named = [*runs.items()]
    calls = 0
    for number, entry in enumerate(conversation.entries, 1):
        named.append((entry.id, f"message {number}"))
        for call in entry.calls or ():
            calls += 1
            named.append((call.id, f"call {calls}"))
    found: dict[str, Reference] = {}
    for identifier, name in named:
        if looks_made(identifier):
            found.setdefault(identifier, Reference(name))
    return found


def referring(value: Any, references: dict[str, Reference]) -> Any:
    """A JSON value with references in the place of ids."""
    if isinstance(value, dict):
        return {name: referring(each, references) for name, each in value.items()}
    if isinstance(value, list):
        return [referring(each, references) for each in value]
    return references.get(value, value) if isinstance(value, str) else value
