"""What `dtvn events-proxy` and `dtvn replay` are made of, for each of their options."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from dtvn.cli import events_proxy, replay, serving
from dtvn.proxy import ClusterJudge, EventsMiddleware, LocalJudge, Repair
from tests.events.rules.samples import event
from tests.golden import Compare, Telling
from tests.proxy.support import GOOD

GOLDEN = Path(__file__).parent / "golden"
UPSTREAM = ("--upstream", "http://agent.test:8000/base")


class Served(Telling):
    """Commands whose server does not listen; what it would serve is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        for module in (events_proxy, replay):
            monkeypatch.setattr(module, "listen", self._listen)
            monkeypatch.setattr(module, "serve", self._serve)

    def say(self, line: str) -> None:
        super().say(line.replace(str(self.folder), "FOLDER"))

    def _listen(self, host: str, port: int) -> Any:
        self.say(f"  listens at {host}, port {port}")
        return SimpleNamespace(getsockname=lambda: (host, port or 40_001))

    def _serve(self, app: Any, _listener: Any) -> None:
        self.say(f"  answers {sorted(app._names)}")
        inner = app._app
        if isinstance(inner, EventsMiddleware):
            self._proxy(inner)
        else:
            told = {name: value for name, value in vars(inner).items() if isinstance(value, TOLD)}
            self.say(f"  replay {told}")

    def _proxy(self, middleware: Any) -> None:
        forward: Any = middleware.app
        if isinstance(forward, Repair):
            self.say("  repairs")
            forward = forward.app
        self.say(f"  agent {forward.url} {forward._timeouts}, {forward._streams} streams")
        self.say(
            f"  {middleware.mode} {middleware.terms.refuse} {middleware.terms.refuse_unjudged}, "
            f"{middleware.verdict_seconds} s, {middleware.closing_seconds} s at the end"
        )
        judge = middleware.judge
        if isinstance(judge, LocalJudge):
            self.say(f"  judges here: drop_unknown {judge.drop_unknown}, accept_0x {judge.accept_0x}")
        elif isinstance(judge, ClusterJudge):
            client: httpx.AsyncClient = judge.client
            self.say(
                f"  asks {client.base_url} for {judge.wanted}, key {client.headers.get('x-api-key')}, "
                f"{client.timeout}, patience {judge.patience}, transcripts {judge.transcripts}"
            )

    def run(self, module: Any, *words: str) -> None:
        self.say(f"$ {' '.join(words)}")
        parser = argparse.ArgumentParser()
        module.add_options(parser)
        options = vars(parser.parse_args([each.replace("FOLDER", str(self.folder)) for each in words]))
        out, errors = io.StringIO(), io.StringIO()
        given = (options, io.BytesIO(b""), out, errors) if module is replay else (options, out, errors)
        code = module.run(*given)
        for stream in (out, errors):
            for line in stream.getvalue().splitlines():
                self.say(f"  | {line}")
        self.say(f"  exit {code}")


TOLD = (bool, int, float, str, list, tuple, frozenset, set, type(None))


def test_what_servers_are_made_of(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DTVN_API_KEY", "secret")
    served = Served(monkeypatch, tmp_path)
    cluster = ("--cluster", "https://platform.test")
    for words in (
        (),
        ("--mode", "mark", "--host", "proxy.test", "--port", "9", "--streams", "3"),
        ("--mode", "refuse"),
        ("--mode", "refuse", "--on-outage", "pass", "--verdict-seconds", "0.5", "--silence-seconds", "9"),
        ("--allow-host", "a.test", "--allow-host", "b.test", "--host", "::1", "--repair"),
        ("--drop-unknown", "--accept-0x", "--port", "0"),
        cluster,
        (*cluster, "--algorithm", "pbft", "--drop-unknown", "--transcripts", "FOLDER/transcripts"),
        (*cluster, "--accept-0x"),
        ("--transcripts", "FOLDER/none"),
        ("--algorithm", "pbft"),
    ):
        served.run(events_proxy, *UPSTREAM, *words)
    served.say(f"{sorted(path.name for path in tmp_path.iterdir())}")
    monkeypatch.setenv("DTVN_API_KEY", " secret")
    served.run(events_proxy, *UPSTREAM, *cluster)
    recorded = tmp_path / "run"
    recorded.write_bytes(b"\n".join([*GOOD, event("RS:r2"), event("RF:r2")]) + b"\n")
    for given in (
        ("FOLDER/run",),
        ("FOLDER/run", "--as-recorded", "--no-delay", "--allow-origin", "http://localhost:3000/"),
        ("FOLDER/run", "--speed", "2.5", "--streams", "7", "--host", "replay.test", "--allow-host", "x.test"),
    ):
        served.run(replay, *given)

    def absent() -> None:
        raise ImportError("no such module", name="uvicorn")

    for module in (events_proxy, replay):
        monkeypatch.setattr(module, "require", absent)
    served.run(events_proxy, *UPSTREAM)
    served.run(replay, "FOLDER/run")
    config = serving.serving(_app, 9)
    names = ("http", "ws", "access_log", "proxy_headers", "server_header", "date_header")
    told = {name: getattr(config, name) for name in (*names, "timeout_graceful_shutdown")}
    served.say(f"{told}")
    golden(GOLDEN / "servers-options.txt", served.text)


async def _app(*_arguments: Any) -> None:
    """Answers nothing."""
