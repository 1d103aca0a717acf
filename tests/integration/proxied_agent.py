"""An agent whose recorded streams pass the real `dtvn events-proxy`, and what is left of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.integration.network import NOT_HANDED_ON, REPOSITORY
from tests.waiting import PATIENCE

PROGRAM = [sys.executable, "-c", "from dtvn.cli.main import command; command()"]
Between = Callable[[], None]


class Answer(msgspec.Struct, frozen=True):
    """What the client got, what the proxy printed of it, and the transcript that it left, b"" for none."""

    body: bytes
    report: dict[str, Any]
    transcript: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.body.removesuffix(b"\n\n").split(b"\n\n")
        return [json.loads(line.removeprefix(b"data: ")) for line in lines]


class Agent(ThreadingHTTPServer):
    """Answers each POST with `frames`, and calls `between` before the one with index `at`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.frames: Sequence[bytes] = ()
        self.between: Between | None = None
        self.at = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Agent
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for index, frame in enumerate(self.server.frames):
                if index == self.server.at and self.server.between is not None:
                    self.server.between()
                self.wfile.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Proxy:
    """The proxy as a person starts it, between a client and an agent."""

    def __init__(self, agent: Agent, process: subprocess.Popen[str], folder: Path) -> None:
        self.agent = agent
        self._process = process
        self._folder = folder
        found = re.search(r"127\.0\.0\.1:(\d+)", self._line())
        assert found is not None
        self._url = f"http://127.0.0.1:{found[1]}"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def pass_on(self, frames: Sequence[bytes], *, at: int = 0, between: Between | None = None) -> Answer:
        """One stream. `between` is called before the agent sends the frame with index `at`."""
        self.agent.frames, self.agent.at, self.agent.between = frames, at, between
        before = set(self._folder.glob("*.json"))
        # Longer than what `between` awaits: its failure says more than this client's.
        with httpx.Client(trust_env=False, timeout=3 * PATIENCE) as client:
            body = client.post(f"{self._url}/agent", content=b"{}").content
        report = json.loads(self._line())
        made = set(self._folder.glob("*.json")) - before
        return Answer(body, report, b"".join(path.read_bytes() for path in made))


@contextmanager
def proxy(platform: str, key: str, mode: str, folder: Path, *more: str) -> Iterator[Proxy]:
    """A proxy that asks the cluster of this platform, and puts transcripts into the folder."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    environment |= {"DTVN_API_KEY": key, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY)}
    agent = Agent()
    serving = threading.Thread(target=agent.serve_forever, daemon=True)
    serving.start()
    words = ["events-proxy", "--upstream", agent.url, "--mode", mode, "--cluster", platform]
    words += ["--transcripts", str(folder), "--port", "0", "--json", *more]
    try:
        with subprocess.Popen(
            [*PROGRAM, *words], cwd=folder.parent, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield Proxy(agent, process, folder)
            finally:
                process.kill()
    finally:
        agent.shutdown()
        agent.server_close()
        serving.join(PATIENCE)
