"""The fresh worlds of a run of the tests: seeds of the day, so that each day searches elsewhere and a failure
of today can be repeated today. WORLDS=300 plays more, WORLDS_FROM=7000 those from another seed on."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

WORLD = "random"


def choose_first_seed() -> None:
    """Fix the first seed for this process and its children, which may start after midnight."""
    os.environ.setdefault("WORLDS_FROM", datetime.now(UTC).strftime("%Y%m%d000"))


def seeds() -> range:
    """The seeds to play."""
    choose_first_seed()
    first = int(os.environ["WORLDS_FROM"])
    return range(first, first + int(os.environ.get("WORLDS", "60")))


def keep(file: Path, seed: int, finding: str) -> None:
    """Add a failing world to the kept ones, once."""
    world, text = f"{WORLD} {seed}  ", file.read_text(encoding="utf-8")
    if world not in text:
        file.write_text(f"{text}{world}{' '.join(finding.split())[:200]}\n", encoding="utf-8")
