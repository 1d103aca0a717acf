"""Golden files: what somebody outside receives, kept as text of a size that a person reads.

A test that asks for one field notices one mistake. A test that compares a whole answer, page, report or file
notices all of them, and a person who reads the difference tells a mistake from a wanted change (Feathers,
"Working Effectively with Legacy Code", chapter 13: characterization tests).
"""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest

SHOWN_MAX = 60
"""Lines of a difference that a failure shows."""
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
