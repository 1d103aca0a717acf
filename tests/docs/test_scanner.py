"""The scanner of the documentation, before a server that is no platform."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.docs.taught import blocks
from tests.waiting import PATIENCE

PAGE = b"<html>\n<body>Welcome to the hotel's network</body></html>"


class Stranger(BaseHTTPRequestHandler):
    """Answers with the status that the path begins with, and a page."""

    def do_POST(self) -> None:
        self.send_response(int(self.path[1:4]))
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *words: object) -> None:
        """Nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of a server."""
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def scanned(url: str) -> str:
    (program,) = blocks("use/scanner.md", "python")
    hasty = program.replace("PATIENCE = 30.0", "PATIENCE = 0.1")
    assert hasty != program
    done = subprocess.run(
        [sys.executable, "-c", hasty],
        env=os.environ | {"DTVN_URL": url, "DTVN_KEY": "key"},
        input="T-1\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("status", [200, 404, 502])
def test_an_answer_without_json_is_reported_in_one_line(stranger: str, status: int) -> None:
    said = rf"T-1 ASK A PERSON: {status}, not JSON: {PAGE!r}"
    assert scanned(f"{stranger}/{status}") == said + "\n"


def test_an_unreachable_platform_is_reported_in_one_line() -> None:
    assert (
        scanned("http://127.0.0.1:1") == "T-1 ASK A PERSON: <urlopen error [Errno 111] Connection refused>\n"
    )
