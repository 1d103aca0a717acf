"""Golden files: what somebody outside receives, kept as text of a size that a person reads.

A test that asks for one field notices one mistake. A test that compares a whole answer, page, report or file
notices all of them, and a person who reads the difference tells a mistake from a wanted change (Feathers,
"Working Effectively with Legacy Code", chapter 13: characterization tests).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher, unified_diff
from pathlib import Path
from textwrap import wrap
from typing import Any

import pytest
from django.urls import Resolver404, resolve

SHOWN_MAX = 60
"""Lines of a difference that a failure shows."""
WIDTH = 140
SHORT = 4
"""Lines of an answer that is always told whole."""
DIFFERENT = 0.8
"""Share of an answer's lines that may differ from the one before; if more do, it is told whole."""
MEANT = """{name} tells otherwise than before. If that is meant, write it anew with the same command and
`--rewrite`, read the difference, and commit it apart with the reason."""


class Telling:
    """A story as it is written down, in chapters."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @property
    def text(self) -> str:
        """The whole story."""
        return "\n".join(self.lines) + "\n"

    def say(self, line: str) -> None:
        """Tell one thing."""
        self.lines.append(line)

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self.lines += ["", f"# {title}"]


class Differences:
    """Answers of one kind after the first, told by what differs from the one before where that is short."""

    def __init__(self) -> None:
        self._before: dict[str, list[str]] = {}
        self._fields: dict[str, dict[str, str]] = {}

    def of(self, kind: str, lines: list[str]) -> list[str]:
        """What to tell of an answer of this kind."""
        before, self._before[kind] = self._before.get(kind), lines
        if before is None or len(lines) < SHORT:
            return lines
        if before == lines:
            return ["(as before)"]
        found: list[str] = []
        for what, first, last, begin, end in SequenceMatcher(
            None, before, lines, autojunk=False
        ).get_opcodes():
            if what == "delete":
                found += [f"- {line}" for line in before[first:last]]
            elif what != "equal":
                found += [f"+ {line}" for line in lines[begin:end]]
        return found if len(found) < DIFFERENT * len(lines) else lines

    def of_value(self, kind: str, value: Any, lines: list[str]) -> list[str]:
        """What to tell of JSON of this kind, which has these lines: its fields that differ, by path."""
        before, now = self._fields.get(kind), dict(_fields(value))
        self._fields[kind] = now
        if before is None or len(lines) < SHORT:
            return lines
        changed = [f"{path}: {text}" for path, text in now.items() if before.get(path) != text]
        changed += [f"no {path}" for path in before if path not in now]
        if not changed:
            return ["(as before)"]
        found = wrap(f"but {', '.join(changed)}", WIDTH, break_long_words=False, break_on_hyphens=False)
        return found if len(changed) < DIFFERENT * len(now) and len(found) < len(lines) else lines


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value that holds no other, by its path."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _fields(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _fields(part, f"{path}[{number}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def route_of(address: str) -> str:
    """The kind of page or call that an address is of."""
    place = address.partition("?")[0]
    try:
        return str(resolve(place).route)
    except Resolver404:
        return place


class Compare:
    """Compares what a test tells with the golden file at a path."""

    def __init__(self, *, rewrite: bool) -> None:
        self._rewrite = rewrite

    def __call__(self, path: Path, told: str) -> None:
        """Fail the test unless the file holds this text."""
        if self._rewrite:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(told, encoding="utf-8")
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        if kept != told:
            lines = list(
                unified_diff(kept.splitlines(), told.splitlines(), "kept", "told now", "", "", 2, "")
            )
            shown = lines[:SHOWN_MAX]
            if len(lines) > SHOWN_MAX:
                shown.append(f"... and {len(lines) - SHOWN_MAX} further lines")
            pytest.fail("\n".join([MEANT.format(name=path.name), *shown]), pytrace=False)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Compare:
    """Compares a text with the golden file at a path. `pytest --rewrite` writes the file instead."""
    return Compare(rewrite=request.config.getoption("--rewrite"))
