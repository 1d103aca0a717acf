"""Golden files: what the product told when it was right, whole and readable, and compared whole.

A test that asks for one field notices one mistake. A test that compares everything told notices all of them,
and is told apart from a wanted change by a person who reads the difference (Feathers, "Working Effectively
with Legacy Code", chapter 13: characterization tests).
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

import pytest

SHOWN_MAX = 60
"""Lines of a difference that a failure shows."""

Compare = Callable[[Path, str], None]
"""Fails the test unless the golden file at this path holds this text."""


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Compare:
    """Compares a text with the golden file at a path. `pytest --rewrite` writes the file instead."""
    rewrite = bool(request.config.getoption("--rewrite"))

    def compare(path: Path, told: str) -> None:
        if rewrite:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(told, encoding="utf-8")
            return
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        if told != kept:
            pytest.fail(_difference(path, kept, told), pytrace=False)

    return compare


def _difference(path: Path, kept: str, told: str) -> str:
    lines = list(unified_diff(kept.splitlines(), told.splitlines(), "kept", "told now", lineterm="", n=2))
    shown = lines[:SHOWN_MAX]
    if len(lines) > SHOWN_MAX:
        shown.append(f"... and {len(lines) - SHOWN_MAX} further lines")
    return "\n".join(
        [
            f"{path.name} tells otherwise than before. If that is meant, write it anew with the same command",
            "and `--rewrite`, read the difference, and commit it apart with the reason.",
            *shown,
        ]
    )
