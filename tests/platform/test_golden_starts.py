"""Tells what the commands that start something do with their options (up, web, supervisor, follow, validator,
splice): what they pass on, what they refuse, and how they begin again with another data folder."""

from __future__ import annotations

import os
import socket
import sys
from argparse import Namespace
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError
from django.core.management.base import BaseCommand

from dtvn.node.options import NodeOptions, StartError, UsageError
from tests.api.telling import beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators.management import following as follow_work
from validators.management import teaching
from validators.management.commands import follow, splice, supervisor, up, validator
from validators.management.commands import web as web_command
from validators.processes import output
from validators.processes import supervisor as running

VARIABLES = ("NODES", "CONSENSUS", "DTVN_HOST", "PORT", "DTVN_DATA", "DTVN_API_KEY", "DTVN_SUPERVISOR")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Recorder:
    """A story of a command on one folder, with nothing in the environment."""
    settings.DATA = tmp_path
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in VARIABLES:
        os.environ.pop(name, None)
    made = Recorder(tmp_path)
    monkeypatch.setattr(output.Output, "line", lambda self, text: made.say(f"  ! {made.shown(text)}"))
    return made


def begun(told: Recorder, title: str, command: BaseCommand, *words: str) -> None:
    """Run a command as from the command line."""
    told.chapter(f"{title}: {' '.join(words).replace(str(told.folder), 'DATA')}")
    before = dict(os.environ)
    try:
        options = vars(command.create_parser("manage.py", title).parse_args([*words]))
        command.handle(**options)
        told.say("  = done")
    except SystemExit as end:
        told.say(f"  = exit {end.code}")
    except (ImproperlyConfigured, CommandError) as error:
        told.say(f"  = {type(error).__name__}: {told.shown(str(error))}")
    for name in VARIABLES:
        if os.environ.get(name) != before.get(name):
            told.say(f"  {name}={told.shown(os.environ.get(name))}")
    for name in VARIABLES:
        os.environ.pop(name, None)


def test_what_up_passes_on(golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", told.function("supervisor.run"))
    told.answers["supervisor.run"] = 7
    begun(told, "up", up.Command())
    begun(told, "up", up.Command(), "--nodes", "7", "--consensus", "raft", "--host", "::", "--port", "65535")
    for words in (
        ["--port", "0"],
        ["--port", "65536"],
        ["--port", "x"],
        ["--nodes", "x"],
        ["--consensus", "x"],
    ):
        begun(told, "up", up.Command(), *words)
    for name, value in (("NODES", "5"), ("CONSENSUS", "pbft"), ("DTVN_HOST", "192.0.2.7"), ("PORT", "81")):
        os.environ[name] = value
        begun(told, f"up with {name}={value}", up.Command())
    begun(told, "up in another folder", up.Command(), "--data-dir", str(told.folder / "other"))
    golden(beside(__file__, "start_up"), told.text)


def test_how_a_command_begins_again(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execv", told.function("execv"))
    command, other = up.Command(), told.folder / "other"
    with pytest.raises(CommandError, match="name another data folder"):
        teaching.begin_again(command, other)
    command._called_from_command_line = True  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "orig_argv", ["python", "manage.py", "up", "--nodes", "4"])
    monkeypatch.setattr(sys, "executable", "PYTHON")
    teaching.begin_again(command, other)
    assert told.lines == ["  execv('PYTHON', ['PYTHON', 'manage.py', 'up', '--nodes', '4'])"]
    assert os.environ["DTVN_DATA"] == str(other)
    with pytest.raises(CommandError, match="name another data folder"):
        teaching.begin_again(command, other)


def executed(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that would become another one."""

    def execve(program: str, words: list[str], environ: Mapping[str, str]) -> int:
        told.say(f"  execve {program == sys.executable} {words[1:]}")
        for name in sorted(environ):
            if environ.get(name) != os.environ.get(name):
                told.say(f"    {name}={told.shown(environ[name])}")
        return 9

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(os, "chdir", lambda place: told.say(f"  in {(Path(place) / 'manage.py').exists()}"))


def test_what_web_passes_on(golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    executed(told, monkeypatch)
    begun(told, "web", web_command.Command())
    begun(told, "web", web_command.Command(), "--host", "192.0.2.7", "--port", "1")
    for port in ("0", "65536", "x", "-1"):
        begun(told, "web", web_command.Command(), f"--port={port}")
    golden(beside(__file__, "start_web"), told.text)


def test_what_supervisor_passes_on(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str, **environ: str) -> None:
        told.chapter(" ".join([*(f"{name}={value}" for name, value in environ.items()), *words]))
        os.environ.update(environ)
        try:
            supervisor.Command().run_from_argv(["manage.py", "supervisor", *words])
        except SystemExit as end:
            told.say(f"  = exit {end.code}")
        printed = capsys.readouterr()
        told.lines += [f"  | {line}" for line in printed.out.splitlines()[:2]]
        told.lines += [f"  ! {line}" for line in printed.err.splitlines()[:1]]
        for name in environ:
            os.environ.pop(name)

    def lookup(host: str | None, port: int, **_: object) -> list[str]:
        if host == "nowhere.example":
            raise OSError(-2, "Name or service not known")
        return [f"{host}:{port}"]

    monkeypatch.chdir(told.folder)
    executed(told, monkeypatch)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    front = told.folder / "web" / "static"
    run()
    run("-web-port", "1", "-web-addr", "127.0.0.1", "-data-dir", "x", "-auto-start", "30", "-api-key", "k")
    run("-web-addr", "", DTVN_DATA="/srv/data", DTVN_API_KEY="other")
    for words in (
        ("-web-port", "0"),
        ("-web-port", "65536"),
        ("-auto-start", "-1"),
        ("-auto-start", "31"),
        ("-data-dir", ""),
        ("-web-addr", "nowhere.example"),
        ("-static-dir", "nowhere"),
        ("-validator", "nowhere"),
        ("-simulator", "nowhere"),
        ("-static-dir", "."),
        ("-validator", "there", "-simulator", "there"),
    ):
        (told.folder / "there").touch()
        run(*words)
    front.mkdir(parents=True)
    run()
    (front / "index.html").touch()
    run()
    golden(beside(__file__, "start_supervisor"), told.text.replace(str(told.folder), "DATA"))


def test_how_go_flags_are_given_by_programs(told: Recorder) -> None:
    command = supervisor.Command()
    seen: list[Namespace] = []

    def run(options: Namespace) -> int:
        seen.append(options)
        return len(seen) - 1

    command.run = run  # type: ignore[method-assign]
    command.handle(web_port=81, other="unknown")
    assert (seen[0].web_port, seen[0].auto_start, hasattr(seen[0], "other")) == (81, 0, False)
    with pytest.raises(SystemExit, match="1"):
        command.handle()
    with pytest.raises(SystemExit, match="2"):
        command.run_from_argv(["manage.py", "supervisor", "-auto-start", "3"])
    assert seen[2].auto_start == 3


def test_what_validator_passes_on(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import dtvn.node.run
    import dtvn.node.start

    folder = SimpleNamespace(root=told.folder / "nodes" / "node0", id="node0")
    monkeypatch.setattr(dtvn.node.start, "get_ready", lambda *_, tell, warn: ready(tell, warn))
    monkeypatch.setattr(dtvn.node.run, "run_node", told.function("run_node"))
    for name in ("configure_logging", "node_logger", "setproctitle"):
        monkeypatch.setattr(validator, name, told.function(name))
    handled: dict[str, Any] = {}
    signals = SimpleNamespace(
        SIGTERM="SIGTERM", SIGINT="SIGINT", signal=lambda number, by: handled.update({number: by})
    )
    monkeypatch.setattr(validator, "signal", signals)
    failure: list[Exception] = []

    def ready(tell: Any, warn: Any) -> Any:
        tell("a line for the operator")
        warn("a warning")
        if failure:
            raise failure.pop()
        return folder, NodeOptions()

    def run(*words: str) -> None:
        told.chapter(" ".join(words) or "nothing")
        try:
            validator.Command().run_from_argv(["manage.py", "validator", *words])
        except SystemExit as end:
            told.say(f"  = exit {end.code}")
        printed = capsys.readouterr()
        told.lines += [f"  | {line}" for line in printed.out.splitlines()]
        said, usage, _ = printed.err.partition("usage: manage.py validator")
        told.lines += [f"  ! {line}" for line in [*said.splitlines(), *filter(None, [usage])]]

    def node(root: Path, asked: Any, **named: Any) -> int:
        options = named["options"]
        told.say(f"  others are gone {options.others_are_gone}, asked to stop {asked()}")
        handled["SIGTERM"](15, None)
        told.say(f"  asked to stop {asked()}, by {sorted(handled)}")
        return codes.pop(0)

    codes = [0, 1, dtvn.node.run.EXIT_FENCED, dtvn.node.run.EXIT_UNREACHABLE, 0]
    told.answers["run_node"] = node
    where = ("-data-dir", str(told.folder), "-id", "node0")
    run(*where)
    run(*where, "-others-are-gone")
    run(*where)
    run(*where)
    os.environ["DTVN_LOGGING_FORMAT"] = "json"
    run(*where)
    os.environ.pop("DTVN_LOGGING_FORMAT")
    for error in (StartError("its disk is full"), UsageError("-port is no port"), UsageError("x.yaml: odd")):
        failure.append(error)
        run(*where)
    golden(beside(__file__, "start_validator"), told.text.replace(str(told.folder), "DATA"))


def test_what_follow_passes_on(golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_work, "run", told.function("run"))
    told.answers["run"] = 3
    begun(told, "follow", follow.Command())
    words = (
        "--from /ip4/a --cluster ab --name n --listen h:1 --writes-at http://x --no-pages --host h --port 9"
    )
    begun(told, "follow", follow.Command(), *words.split())
    begun(told, "follow", follow.Command(), "--pages", "--via", "/ip4/b")
    told.answers["run"] = CommandError("it cannot")
    begun(told, "follow", follow.Command())
    begun(told, "follow", follow.Command(), "--data-dir", str(told.folder / "other"))
    golden(beside(__file__, "start_follow"), told.text)


def test_what_splice_passes_on(golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    import dtvn.node.splice_run

    failure: list[Exception] = []

    async def run(options: dict[str, Any], say: Any) -> None:
        given = {name: value for name, value in sorted(options.items()) if value not in (None, [])}
        told.say(f"  {told.shown(given)}")
        say("it listens")
        if failure:
            raise failure.pop()

    monkeypatch.setattr(dtvn.node.splice_run, "run_splice", run)
    written = StringIO()
    begun(told, "splice", splice.Command(stdout=written), "--allow", "a", "--allow", "b", "--allow-file", "f")
    failure.append(StartError("no port"))
    begun(told, "splice", splice.Command(stdout=written), "--splices-a-key", "3", "--dials-a-second", "0.5")
    told.say(f"said {written.getvalue()!r}")
    golden(beside(__file__, "start_splice"), told.text)
