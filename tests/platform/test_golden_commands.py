"""Tells the help of each command of the platform, and what the commands print that ask nobody: the quorum
calculator and the configuration, with the source of each value, with wrong flags and variables."""

from __future__ import annotations

import os
from argparse import ArgumentParser, _SubParsersAction
from pathlib import Path

import pytest
from django.core.management import load_command_class

from tests.api.telling import Story, beside
from tests.golden import Compare

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(path.stem for path in (ROOT / "validators/management/commands").glob("[a-z]*.py"))


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are as wide as on one terminal, and nothing is configured but the places of this test run."""
    monkeypatch.setenv("COLUMNS", "110")
    for name in list(os.environ):
        if name.startswith(("DTVN_", "DATABASE_URL", "REDIS_URL", "CELERY_")):
            monkeypatch.delenv(name)


def tell_parser(story: Story, parser: ArgumentParser) -> None:
    story.say(parser.format_help().replace(str(Path.cwd()), "HERE"))
    for action in parser._actions:
        if not isinstance(action, _SubParsersAction):
            continue
        for name, verb in action.choices.items():
            story.heading(f"{parser.prog} {name}")
            tell_parser(story, verb)


def test_what_helps_tell(golden: Compare) -> None:
    story = Story()
    for name in COMMANDS:
        story.heading(name)
        command = load_command_class("validators", name)
        parser = command.flags() if hasattr(command, "flags") else command.create_parser("manage.py", name)
        if isinstance(parser, ArgumentParser):
            tell_parser(story, parser)
        else:
            story.say(parser.help() if hasattr(parser, "help") else str(type(parser)))
    golden(beside(__file__, "command_helps"), str(story))


def test_what_quorum_and_config_tell(
    golden: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    story.hidden[str(tmp_path)] = "DIR"
    story.command("quorum")
    story.command("quorum", 4, 31, "--consensus", "raft")
    story.command("quorum", 1, 0)
    file = tmp_path / "node.yaml"
    file.write_text("node:\n  id: node3\n  port: 4104\nmetrics:\n  port: 9193\n")
    story.command("config", "--show")
    story.command("config", "--show", "-config", file, "-id", "node5")
    monkeypatch.setenv("DTVN_METRICS_PORT", "9191")
    monkeypatch.setenv("DTVN_API_KEY", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hidden@db.example:5433/dtvn")
    story.command("config", "--show", "-config", file)
    story.command("config", "-config", file)
    file.write_text("node:\n  id: node3\n  prot: 4104\n")
    story.command("config", "-config", file)
    story.command("config", "-config", tmp_path / "absent.yaml")
    monkeypatch.setenv("DTVN_METRICS_PORT", "many")
    story.command("config")
    golden(beside(__file__, "command_config"), str(story))
