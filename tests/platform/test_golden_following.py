"""Tells what a follower does from its command to its first turn: what is said to the operator, what it waits
for, what it keeps, and how it goes on with pages and without."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management.base import CommandError
from msgspec.structs import replace

import dtvn.node.run
from dtvn.files.whole import write_private
from dtvn.net import KeyFileError
from dtvn.node.following import following_in, keep_following
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from tests.api.telling import Story, beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from tests.platform.test_follow_options import PEER
from validators.management import following
from validators.processes import follow

UNSET = dict.fromkeys(("start", "name", "listen", "via", "writes_at", "host", "port", "no_pages"))
CLUSTER = "ab" * 32


class Desk:
    """A follower whose peer, ports and processes are told."""

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.root, self.calls, self.capsys = root, Recorder(root), capsys
        self.story = Story()
        self.story.hidden[str(root)] = "DATA"
        self.signals: dict[str, Any] = {}
        self.genesis: bytes | None = b"genesis"
        self.waits: list[bool] = []
        calls = self.calls
        monkeypatch.setattr(following, "fetch_genesis", self.fetch)
        monkeypatch.setattr(following, "pin", self.pin)
        monkeypatch.setattr(following, "setproctitle", calls.function("setproctitle"))
        monkeypatch.setattr(follow, "FollowSupervisor", self.supervisor)
        monkeypatch.setattr(dtvn.node.run, "run_follower", self.run_follower)
        handled = SimpleNamespace(
            SIGINT="SIGINT", SIGTERM="SIGTERM", SIG_DFL="default", default_int_handler="python's",
            signal=lambda number, by: self.signals.update({number: by}),
        )  # fmt: skip
        monkeypatch.setattr(following, "signal", handled)
        monkeypatch.setattr(following, "socket", self.sockets())

    def sockets(self) -> Any:
        server = SimpleNamespace(close=self.calls.function("close"))
        return SimpleNamespace(
            SOCK_STREAM=1,
            getaddrinfo=lambda host, port, **_: self.calls.call("getaddrinfo", host, port) or [("family",)],
            create_server=lambda place, *, family: self.calls.call("create_server", place, family) or server,
        )

    def fetch(self, seed: bytes, place: Any, *, should_stop: Any, say: Any) -> bytes | None:
        self.calls.say(f"  fetch from {place.address}, {len(seed)} bytes, by {sorted(self.signals)}")
        for refused in self.waits:
            say(refused)
        if self.genesis is None:
            self.signals["SIGINT"](2, None)
        self.calls.say(f"  should stop {should_stop()}")
        return self.genesis

    def pin(self, data: Path, kept: Any, content: bytes, wanted: str) -> Any:
        self.calls.call("pin", data, content.decode(), wanted)
        write_private(ClusterFolder(data).genesis, content)
        found = replace(kept, cluster=CLUSTER)
        keep_following(data, found)
        return found

    def supervisor(self, folder: Any, *, host: str, port: int) -> Any:
        self.calls.call("FollowSupervisor", folder.root, host=host, port=port)
        self.calls.say(f"  environment {os.environ['DTVN_HOST']} {os.environ['PORT']}")
        return SimpleNamespace(answer=lambda command: 4 if command == "follow" else command)

    def run_follower(self, data: Path, should_stop: Any, beat: Any, **named: Any) -> int:
        self.calls.call("run_follower", data, **named)
        for as_of in (0, 5, 6):
            beat({"as_of": as_of, "sequence": 1_234_567})
        before = should_stop()
        self.signals["SIGTERM"](15, None)
        self.calls.say(f"  should stop {before}, then {should_stop()}")
        return 6

    def run(self, title: str, **options: Any) -> None:
        """A start with these options."""
        self.story.heading(title)
        try:
            code: Any = following.run(self.root, UNSET | {"cluster": ""} | options)
        except CommandError as error:
            code = f"CommandError: {error}"
        self.story.say("\n".join(self.calls.lines))
        self.calls.lines.clear()
        for line in self.capsys.readouterr().out.splitlines():
            self.story.say(f"  | {line}")
        self.story.say(f"  = {code}; keeps {following_in(self.root)}")
        handled = {name: by for name, by in self.signals.items() if isinstance(by, str)}
        self.story.say(f"  signals {handled}")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in ("DTVN_HOST", "PORT"):
        os.environ.pop(name, None)
    uname = os.uname()
    monkeypatch.setattr(
        os, "uname", lambda: SimpleNamespace(nodename="-gate.7-ünder_", sysname=uname.sysname)
    )
    return Desk(tmp_path, monkeypatch, capsys)


def test_what_a_follower_does(golden: Compare, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.story.masked[re.compile(r"12D3KooW\w{44}")] = "PEER"
    desk.run("the first start, without a peer")
    desk.genesis, desk.waits = None, [False, True, True]
    desk.run("it is not admitted, and told to stop", start=PEER)
    desk.genesis, desk.waits = b"genesis", []
    desk.run("it is admitted", name="door", writes_at="https://x", cluster="abAB")
    desk.run("again, as a relay", listen="127.0.0.1:10100", host="127.0.0.2", port="8099")
    desk.run("again, with another cluster's id", cluster="cd")
    desk.run("again, with its own id", cluster="AB")
    desk.run("with a splice", via=PEER)
    desk.run("as a relay at any port", listen="127.0.0.1:0")
    desk.run("without pages", no_pages=True)
    report = ClusterFolder(desk.root).cluster / "follower-report.json"
    desk.story.say(f"  report kept {report.exists()}")
    os.environ |= {"DTVN_HOST": "192.0.2.9", "PORT": "8123"}
    desk.run("with pages again, and another address in the environment", no_pages=False, host="", port="")
    ClusterFolder(desk.root).genesis.unlink()
    desk.run("the genesis is gone")
    for error in (StartError("not here"), KeyFileError("no key"), OSError(28, "No space left on device")):
        monkeypatch.setattr(following, "ensure_seed", lambda path, error=error: (_ for _ in ()).throw(error))
        desk.run(f"trouble with the key: {type(error).__name__}")
    golden(beside(__file__, "following"), str(desk.story))


def test_a_follower_is_called_as_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"gate.7": "gate-7", "-ünder_ways-": "nder-ways", "--": "follower", "a" * 50: "a" * 40}
    for host, name in named.items():
        monkeypatch.setattr(os, "uname", lambda host=host: SimpleNamespace(nodename=host))
        assert following._host_name() == name
