"""The threat model names, for each attacker, tests and adversaries that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def played() -> str:
    text = (ROOT / "docs/understand/threat-model.md").read_text()
    return text.partition("## Who plays the attacker")[2].partition("\n## ")[0]


def test_each_named_test_and_adversary_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(\w+)`", played()))
    assert len(named) > 30
    adversaries = {path.stem for path in (ROOT / "simulator/adversary").glob("*.py")}
    unknown = {name for name in named if f"def {name}(" not in tests and name not in adversaries}
    assert unknown == set()


def test_each_attacker_is_played_or_named_as_not_yet_played() -> None:
    rows = [line for line in played().splitlines() if line.startswith("| a")][1:]
    assert len(rows) > 12
    for row in rows:
        processes = row.split("|")[3]
        assert "`test_" in processes or "simulator only" in processes, row
