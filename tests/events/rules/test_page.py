"""The five minutes of docs/use/events.md, word for word."""

from __future__ import annotations

import io
import os
import re
import shlex
from pathlib import Path

import pytest

from dtvn.cli import main
from dtvn.events.advice import CLIENT
from dtvn.events.rules import SUGGESTIONS, TYPES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "use" / "events.md"


def test_the_first_example_of_the_page_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, shown = re.findall(r"```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[:2]
    name, text = re.search(r"cat > (\S+) <<END\n(.*?)END\n", typed, re.DOTALL).groups()  # type: ignore[union-attr]
    (tmp_path / name).write_text(text)
    program, *arguments = shlex.split(typed.splitlines()[-1])
    assert os.path.basename(program) == "dtvn"
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert main.run(arguments) == 1
    assert out.getvalue() == shown


def test_the_limits_that_the_page_names_are_the_defaults() -> None:
    from dtvn.events.asking import EVENT_BYTES_MAX
    from dtvn.events.rules import Limits

    said = " ".join(PAGE.read_text(encoding="utf-8").split())
    limits = Limits()
    for words in (
        f"events of {limits.event_bytes >> 20} MiB (for a cluster: {EVENT_BYTES_MAX >> 20} MiB)",
        f"and {limits.depth} levels",
        f"ids of {limits.id_characters} characters",
        f"{limits.open_items} open items",
        f"{limits.owners:,} remembered ids",
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
    assert named >= CLIENT - {"STREAM_NOT_TERMINATED"}
