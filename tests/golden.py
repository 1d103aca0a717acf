"""Golden files: what the product told when it was right, and is compared with whole.

A test that asks for one field notices one mistake. A test that compares everything told notices all of them,
and a person who reads the difference tells a mistake from a wanted change (Feathers, "Working Effectively
with Legacy Code", chapter 13: characterization tests).

A story that somebody made up is kept in words. Of one that was drawn by chance, which nobody reads, only
hashes are kept.
"""

from __future__ import annotations

from difflib import unified_diff
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

import pytest

SHOWN_MAX = 60
"""Lines of a difference that a failure shows."""
BLOCK = 20
"""Lines of a drawn story that have one hash together."""
MEANT = """{name} tells otherwise than before. If that is meant, write it anew with the same command and
`--rewrite`, read the difference, and commit it apart with the reason."""
DRAWN = """Its lines {first} to {last} are the first that differ; now they are as below. `--told FOLDER`, here
and in a checkout from before the change, writes the whole stories to compare."""


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

    def __init__(self, *, rewrite: bool, told: str | None) -> None:
        self._rewrite = rewrite
        self._told = told

    def __call__(self, path: Path, told: str) -> None:
        """Fail the test unless the file holds this text."""
        kept = self._kept(path, told, told)
        if kept != told:
            lines = list(
                unified_diff(kept.splitlines(), told.splitlines(), "kept", "told now", "", "", 2, "")
            )
            shown = lines[:SHOWN_MAX]
            if len(lines) > SHOWN_MAX:
                shown.append(f"... and {len(lines) - SHOWN_MAX} further lines")
            pytest.fail("\n".join([MEANT.format(name=path.name), *shown]), pytrace=False)

    def drawn(self, path: Path, told: str) -> None:
        """The same of a story that was drawn by chance: the file has a hash for each BLOCK lines."""
        hashes = _hashes(told)
        pairs = zip_longest(self._kept(path, told, hashes).splitlines(), hashes.splitlines())
        for number, (kept, now) in enumerate(pairs):
            if kept != now:
                first = number * BLOCK
                shown = told.splitlines()[first : first + BLOCK]
                where = DRAWN.format(first=first + 1, last=first + BLOCK)
                pytest.fail("\n".join([MEANT.format(name=path.name), where, *shown]), pytrace=False)

    def _kept(self, path: Path, told: str, content: str) -> str:
        """What the file holds, after it was written anew if that was asked for."""
        if self._told is not None:
            whole = Path(self._told) / path.parent.parent.name / path.name
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(told, encoding="utf-8")
        if self._rewrite:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return path.read_text(encoding="utf-8") if path.exists() else ""


def _hashes(told: str) -> str:
    lines = told.splitlines(keepends=True)
    blocks = ["".join(lines[first : first + BLOCK]) for first in range(0, len(lines), BLOCK)]
    return "".join(f"{sha256(block.encode()).hexdigest()[:8]}\n" for block in blocks)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Compare:
    """Compares a text with the golden file at a path. `pytest --rewrite` writes the file instead."""
    options = request.config.getoption
    return Compare(rewrite=options("--rewrite"), told=options("--told"))
