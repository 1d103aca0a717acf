"""Tells the help of each command of the platform, and what the commands print that ask nobody: the quorum
calculator and the configuration, with the source of each value, with wrong flags and variables."""

from __future__ import annotations

import io
import os
from argparse import ArgumentParser, _SubParsersAction
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import load_command_class
from django.core.management.base import OutputWrapper

from tests.api.telling import Story, beside
from tests.golden import Compare
from validators.management.command_help import asked, show

ROOT = Path(__file__).resolve().parents[2]
DJANGO = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"} | {
    "--force-color",
    "--skip-checks",
}
COMMANDS = sorted(path.stem for path in (ROOT / "validators/management/commands").glob("[a-z]*.py"))


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are as wide as on one terminal, and nothing is configured but the places of this test run."""
    monkeypatch.setenv("COLUMNS", "110")
    for name in list(os.environ):
        if name.startswith(("DTVN_", "DATABASE_URL", "REDIS_URL", "CELERY_")):
            monkeypatch.delenv(name)


def tell_parser(story: Story, parser: ArgumentParser, told: set[str]) -> None:
    """What a parser takes, and its texts; an option that was told before, by its name alone."""
    for text in (parser.description, parser.epilog):
        if text:
            story.say(str(text).replace(str(Path.cwd()), "HERE"))
    again = []
    for action in parser._actions:
        if isinstance(action, _SubParsersAction) or set(action.option_strings) & DJANGO:
            continue
        names = " ".join(action.option_strings) or str(action.metavar or action.dest)
        facts = [" | ".join(map(str, action.choices))] if action.choices else []
        if action.default not in (None, "", False) and not isinstance(action.default, list):
            facts.append(str(action.default).replace(str(settings.DATA), "DATA"))
        line = f"  {names} ({'; '.join(facts)}): {action.help}".replace(" ()", "")
        if line in told:
            again.append(names.split()[0])
        else:
            told.add(line)
            story.say(line)
    if again:
        story.say(f"  as before: {' '.join(again)}")
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name, verb in action.choices.items():
                story.heading(f"{parser.prog} {name}")
                tell_parser(story, verb, told)


def test_what_helps_tell(golden: Compare) -> None:
    story, told = Story(), set[str]()
    for name in COMMANDS:
        story.heading(name)
        command = load_command_class("validators", name)
        parser = command.flags() if hasattr(command, "flags") else command.create_parser("manage.py", name)
        tell_parser(story, parser, told)
    golden(beside(__file__, "command_helps"), str(story))


def test_what_the_overview_tells(golden: Compare, capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    for words in (
        [],
        ["help"],
        ["--help"],
        ["-h"],
        ["help", "quorum"],
        ["quorum", "--help"],
        ["quorum", "--", "-h"],
    ):
        story.say(f"{words}: asks for help: {asked(words)}")
    for words in (["help"], ["--help"], ["help", "absent"], ["absent", "--help"], ["help", "migrate"]):
        shown = show(["manage.py", *words])
        head, _, own = capsys.readouterr().out.partition("[validators]")
        story.say(f"{words}: shown: {shown}\n{head.partition('[')[0].partition('    ')[0]}[validators]{own}")
    golden(beside(__file__, "command_overview"), str(story))


def configured(story: Story, *words: str, all_values: bool = False) -> None:
    """Runs `manage.py config` with Go's flags; values that are no defaults, or all."""
    command = load_command_class("validators", "config")
    out, err = io.StringIO(), io.StringIO()
    command.stdout, command.stderr = OutputWrapper(out), OutputWrapper(err)
    story.say(f"$ manage.py config {' '.join(words)}")
    with pytest.raises(SystemExit) as ended, redirect_stderr(err):
        command.run_from_argv(["manage.py", "config", *words])
    said, _, usage = err.getvalue().partition("usage: ")
    shown = [line for line in out.getvalue().splitlines() if all_values or not line.endswith("# default")]
    for line in (*shown, *(f"! {line}" for line in said.splitlines()), *(["! usage"] if usage else [])):
        story.say(f"  {line}")
    story.say(f"  exit: {ended.value.code}")


def test_what_quorum_and_config_tell(
    golden: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    story.hidden[str(tmp_path)] = "DIR"
    story.command("quorum")
    story.command("quorum", 4, 31, "--consensus", "raft")
    story.command("quorum", 1, 0)
    file = tmp_path / "node.yaml"
    file.write_text("node:\n  id: node3\nnetwork:\n  listen_port: 4104\nmetrics:\n  port: 9193\n")
    configured(story, "--show", all_values=True)
    configured(story, "--show", "-config", str(file), "-id", "node5")
    monkeypatch.setenv("DTVN_METRICS_PORT", "9191")
    monkeypatch.setenv("DTVN_API_KEY", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hidden@db.example:5433/dtvn")
    configured(story, "--show", "-config", str(file))
    configured(story, "-config", str(file))
    file.write_text("node:\n  id: node3\n  prot: 4104\n")
    configured(story, "-config", str(file))
    configured(story, "-config", str(tmp_path / "absent.yaml"))
    configured(story, "-metrics-port", "many")
    configured(story, "-fly")
    monkeypatch.setenv("DTVN_METRICS_PORT", "many")
    configured(story)
    golden(beside(__file__, "command_config"), str(story))
