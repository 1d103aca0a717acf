"""A proxy before a platform, which holds a scan or its answer while a test kills somebody."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

from tests.waiting import PATIENCE

BEFORE, AFTER = "before it is sent on", "after it was answered"


class Hold:
    """The next scan of a code, held at one moment. Later scans pass."""

    def __init__(self, code: str, moment: str) -> None:
        self.code = code
        self.moment = moment
        self.reached = Event()
        self._released = Event()

    def wait(self) -> None:
        """Until the scan is at that moment."""
        assert self.reached.wait(PATIENCE), f"{self.code} was not held {self.moment}"

    def release(self) -> None:
        """Let it go on."""
        self._released.set()

    def stand(self) -> None:
        """Called by the proxy at that moment."""
        self.reached.set()
        assert self._released.wait(PATIENCE)


class Proxy:
    """Passes POST requests on to a platform, one by one or held."""

    def __init__(self, platform: str) -> None:
        self.platform = platform.removeprefix("http://")
        self._holds: dict[tuple[str, str], Hold] = {}
        self._lock = Lock()
        self.url = ""

    def hold(self, code: str, moment: str) -> Hold:
        """Hold the next scan of this code."""
        made = Hold(code, moment)
        with self._lock:
            self._holds[code, moment] = made
        return made

    def stand(self, code: str, moment: str) -> None:
        """Hold the scan here, if that is wanted."""
        with self._lock:
            held = self._holds.pop((code, moment), None)
        if held is not None:
            held.stand()

    def pass_on(self, path: str, body: bytes, key: str) -> tuple[int, bytes]:
        """The platform's answer; raises OSError or HTTPException."""
        connection = http.client.HTTPConnection(self.platform, timeout=PATIENCE)
        try:
            connection.request("POST", path, body, {"X-API-Key": key, "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def proxy(platform: str) -> Iterator[Proxy]:
    """A proxy before the platform at this address."""
    made = Proxy(platform)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            code = json.loads(body)["barcode"]
            made.stand(code, BEFORE)
            try:
                status, text = made.pass_on(self.path, body, self.headers["X-API-Key"])
            except (OSError, http.client.HTTPException):
                return  # the platform broke off, and so does the connection to the scanner
            made.stand(code, AFTER)
            with suppress(OSError):  # the scanner was killed
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        def log_message(self, *words: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield made
        server.shutdown()
        serving.join()
