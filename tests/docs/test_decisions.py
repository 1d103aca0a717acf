"""docs/understand/decisions: each number stands in one section, in the index, and wherever it is cited."""

from __future__ import annotations

import re

from tests.docs.decisions import FOLDER, HEADING, INDEX, refreshed, sections
from tests.test_tidy import ROOT, TEXT_SUFFIXES, tracked

CITED = re.compile(r"[Dd]ecisions?\s0\d{3}(?:(?:,| and| to) 0\d{3})*")


def test_each_number_has_one_section() -> None:
    numbers = [number for number, _link in sections()]
    assert len(numbers) == len(set(numbers))


def test_every_section_has_a_number() -> None:
    for page in FOLDER.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert text.count("\n## ") == len(HEADING.findall(text)), page.name


def test_the_index_names_every_section() -> None:
    text = INDEX.read_text(encoding="utf-8")
    assert text == refreshed(text), "run `python -m tests.docs.decisions`"


def test_every_cited_decision_exists() -> None:
    numbers = {number for number, _link in sections()}
    unknown = [
        (str(path.relative_to(ROOT)), found)
        for path in tracked()
        if path.suffix in TEXT_SUFFIXES
        for cited in CITED.findall(path.read_text(encoding="utf-8", errors="replace"))
        for found in re.findall(r"\d{4}", cited)
        if found not in numbers
    ]
    assert not unknown
