"""The five minutes of docs/use/events.md, word for word."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dtvn.cli import main
from dtvn.events.advice import CLIENT
from dtvn.events.rules import SUGGESTIONS, TYPES
from tests.docs.taught import blocks

PAGE = Path(__file__).resolve().parents[3] / "docs" / "use" / "events.md"


def test_the_first_example_of_the_page_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, typed, shown = blocks("use/events.md", "")[:3]
    files = re.findall(r"cat > (\S+) <<END\n(.*?)END\n", typed, re.DOTALL)
    assert len(files) == 2
    for name, text in files:
        (tmp_path / name).write_text(text)
    program, *arguments = shlex.split(typed.splitlines()[-1])
    assert os.path.basename(program) == "dtvn"
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert main.run(arguments) == 1
    assert out.getvalue() == shown


def test_the_program_of_the_page_runs() -> None:
    program = next(block for block in blocks("use/events.md", "python") if "validate(" in block)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PAGE.parents[2], capture_output=True, text=True, check=True
    )
    first, second, third = done.stdout.splitlines()
    assert first == "False False 1 2"
    assert second.startswith("error MESSAGE_NOT_OPEN 1 ")
    assert third.startswith("warning STREAM_NOT_TERMINATED 1 ")


def test_the_action_and_the_hook_are_used_as_they_are() -> None:
    steps, configuration = (yaml.safe_load(text) for text in blocks("use/events.md", "yaml"))
    action = yaml.safe_load((PAGE.parents[2] / "action.yml").read_text("utf-8"))
    _, used, uploaded = steps
    assert used["uses"] == "OWNER/dtvn@VERSION"
    assert set(used["with"]) <= set(action["inputs"])
    assert uploaded["with"]["sarif_file"] == f"${{{{ steps.{used['id']}.outputs.sarif }}}}"
    assert "sarif" in action["outputs"]
    hooks = yaml.safe_load((PAGE.parents[2] / ".pre-commit-hooks.yaml").read_text("utf-8"))
    (repository,) = configuration["repos"]
    assert [each["id"] for each in repository["hooks"]] == [each["id"] for each in hooks]


def test_the_limits_that_the_page_names_are_the_defaults() -> None:
    from dtvn.events.asking import EVENT_BYTES_MAX
    from dtvn.events.rules import Limits

    said = " ".join(PAGE.read_text(encoding="utf-8").split())
    limits = Limits()
    for words in (
        f"An event may have {limits.event_bytes >> 20} MiB ({EVENT_BYTES_MAX >> 20} MiB if a cluster judges)",
        f"and {limits.depth} levels, and an id {limits.id_characters} characters",
        f"most {limits.open_items} messages, calls and steps",
        f"{limits.owners:,} ids are remembered",
    ):
        assert words in said


def test_the_page_of_findings_names_all_that_clients_lose() -> None:
    page = (PAGE.parent / "event-findings.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Z0-9]+(?:_[A-Z0-9]+)+)`", page))
    events = {*TYPES} | {
        name for name in named if name.startswith("THINKING_") or name in ("_CONTENT", "_END")
    }
    known = {*SUGGESTIONS}
    assert named - events <= known
    assert known >= CLIENT
    assert named >= CLIENT
