"""The judge of planted bugs: the tests of a patch's lines are tried on it, and only they."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from coverage import CoverageData

from tests.mutation.judge import checkout, judge
from tests.mutation.places import changed_lines, choose_tests
from tests.mutation.record import ROOT, Record

QUORUM = "dtvn/protocol/quorum.py"
TEST = "tests/host/test_quorum.py"
"""Stands for the name of a test that was recorded."""


def line_of(path: str, text: str) -> int:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return 1 + next(number for number, line in enumerate(lines) if text in line)


def patch_of(path: str, old: str, new: str) -> str:
    lines, at = (ROOT / path).read_text(encoding="utf-8").splitlines(), line_of(path, old) - 1
    changed = lines[at].replace(old, new)
    context = [f" {line}" for line in lines[at - 1 : at]]
    body = [*context, f"-{lines[at]}", f"+{changed}", f" {lines[at + 1]}"]
    return "\n".join([f"--- a/{path}", f"+++ b/{path}", f"@@ -{at},3 +{at},3 @@", *body, ""])


WRONG = patch_of(QUORUM, "(members - 1) // 3", "members // 3")


def recorded(folder: Path, path: str, lines: dict[int, list[str]], seconds: dict[str, float]) -> Record:
    data = CoverageData(str(folder / "lines.coverage"))
    for line, tests in lines.items():
        for test in tests:
            data.set_context(f"{test}|run")
            data.add_lines({f"/elsewhere/{path}": [line]})
    data.write()
    (folder / "seconds.json").write_text(json.dumps(seconds))
    return Record(folder)


def test_the_lines_of_a_patch_are_those_taken_away_and_those_before_what_is_new() -> None:
    patch = "--- a/a.py\n+++ b/a.py\n@@ -10,4 +10,5 @@\n one\n-two\n+2\n three\n+four\n+4\n five\n"
    assert changed_lines(patch) == {"a.py": {11, 12}}


def test_the_quickest_test_of_the_changed_lines_is_tried_first(tmp_path: Path) -> None:
    at = line_of(QUORUM, "(members - 1) // 3")
    lines = {at: ["slow", "quick"], at + 2: ["near"], at + 40: ["far"]}
    known = recorded(tmp_path, QUORUM, lines, {"slow": 2.0, "quick": 0.1, "near": 0.0})
    assert choose_tests(WRONG, known) == ["quick", "slow"]


def test_tests_beside_a_line_are_tried_if_none_runs_it(tmp_path: Path) -> None:
    at = line_of(QUORUM, "(members - 1) // 3")
    known = recorded(tmp_path, QUORUM, {at + 2: ["near"], at + 40: ["far"]}, {})
    assert choose_tests(WRONG, known) == ["near"]


def test_what_is_made_at_import_has_the_tests_of_the_file_and_of_its_importers(tmp_path: Path) -> None:
    table = patch_of(QUORUM, "MEMBERS_MAX = 31", "MEMBERS_MAX = 32")
    folders = [tmp_path / name for name in ("own", "importer", "other")]
    for folder in folders:
        folder.mkdir()
    assert choose_tests(table, recorded(folders[0], QUORUM, {90: ["own"]}, {})) == ["own"]
    importer = "dtvn/protocol/consensus/config.py"
    assert choose_tests(table, recorded(folders[1], importer, {40: ["uses it"]}, {})) == ["uses it"]
    assert choose_tests(table, recorded(folders[2], "dtvn/wording.py", {10: ["other"]}, {})) == []


@pytest.mark.integration
def test_a_wrong_quorum_is_caught_and_a_changed_word_survives(tmp_path: Path) -> None:
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a checkout of git")
    wrong, harmless = tmp_path / "wrong.diff", tmp_path / "harmless.diff"
    wrong.write_text(WRONG)
    harmless.write_text(patch_of(QUORUM, "how many of `members` may", "how many of `members` can"))
    known = recorded(tmp_path, QUORUM, {line: [TEST] for line in range(1, 100)}, {TEST: 0.1})
    with checkout() as place:
        assert judge(wrong, place, known, 60).caught_by.startswith(TEST)
        survived = judge(harmless, place, known, 60)
    assert (survived.caught_by, survived.tests) == ("", 1)
    assert str(survived).startswith("harmless.diff: SURVIVES (1 tests run its lines, ")
