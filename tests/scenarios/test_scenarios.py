"""Golden stories: commands, and the transcript that the protocol gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.scenario import ScenarioError, play
from tests.golden import Compare
from tests.support.table import table

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_scenario_gives_the_transcript_in_its_file(path: Path, golden: Compare) -> None:
    golden(path, play(path.read_text(encoding="utf-8")))


@table("path", FILES, ids=[path.stem for path in FILES], count=32)
def test_each_scenario_begins_with_its_purpose_and_its_source(path: Path) -> None:
    opening = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert opening.startswith("# ")
    assert re.search(r"\bR\d+|Castro & Liskov|row \d+", opening), "cite the paper or a rule"


def test_an_unknown_scenario_command_is_reported() -> None:
    with pytest.raises(ScenarioError, match="'fly'"):
        play("cluster 4\nfly r0\n")
    with pytest.raises(ScenarioError, match="begins with"):
        play("state\n")
