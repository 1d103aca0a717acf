"""Golden stories: commands, and the transcript that the protocol gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.scenario import ScenarioError, play

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_story_plays_as_its_file_says(path: Path, request: pytest.FixtureRequest) -> None:
    told = path.read_text(encoding="utf-8")
    played = play(told)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(played, encoding="utf-8")
        return
    assert played == told, f"run `pytest tests/scenarios --rewrite` and read the difference of {path.name}"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_each_story_opens_with_what_it_shows_and_where_that_is_written(path: Path) -> None:
    opening = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert opening.startswith("# ")
    assert re.search(r"\bR\d+|Castro & Liskov|row \d+", opening), "cite the paper or a rule"


def test_a_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(ScenarioError, match="'fly'"):
        play("cluster 4\nfly r0\n")
    with pytest.raises(ScenarioError, match="begins with"):
        play("state\n")
