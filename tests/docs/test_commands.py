"""Every command that the documentation names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import execute_from_command_line, get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def named(pattern: str) -> set[str]:
    """What the group of this pattern matches on any page."""
    return {name for page in PAGES for name in re.findall(pattern, page.read_text(encoding="utf-8"))}


def test_every_command_of_manage_py_exists() -> None:
    assert named(r"manage\.py ([a-z_]+)") - set(get_commands()) == set()


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named(r"(?m)(?:`|^|&& )make ([a-z-]+)") - targets == set()


def test_every_executable_exists() -> None:
    assert [
        name
        for name in named(r"\bbin/(validator|supervisor|simulator)\b")
        if not (ROOT / "bin" / name).is_file()
    ] == []


TICKETS = sorted(name for name, app in get_commands().items() if app == "tickets")


@pytest.mark.parametrize("name", TICKETS)
def test_the_help_of_a_tickets_command_names_its_exit_codes(name: str) -> None:
    assert re.search(r"Exit codes: 0 .*\b2 ", load_command_class("tickets", name).help)
    with pytest.raises(SystemExit) as ended:
        execute_from_command_line(["manage.py", name, "--no-such-option"])
    assert ended.value.code == 2
