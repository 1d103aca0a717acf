"""How a node that cannot be dialled is reached through a splice: its side of dtvn.net.splice (R45).

`Via` runs the listener as a small process beside the node, so that the node's loop does not carry the bytes.
That process ends with the node, however the node ends: its standard input closes then.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from dtvn.files.whole import write_private
from dtvn.net import SpliceReport, format_multiaddr, parse_multiaddr
from dtvn.node.helper_process import ROOT
from dtvn.node.keys import public_key_of_peer_id
from dtvn.node.watcher import line

PROGRAM = "dtvn.net.splice_listener"
WAIT = 5.0
"""Seconds that a start waits for the splice, before it goes on with the place that it had there."""
FIRST_WAIT = 20.0
"""Seconds that a start waits that never had a place: without one it ends."""
AGAIN = 1.0
"""Seconds until a listener that ended is started again."""


def read_splice(text: str) -> tuple[str, int, str]:
    """(host, port, peer id) of a splice's multiaddr; raise ValueError with a sentence."""
    host, port, peer = parse_multiaddr(text)
    if not peer:
        raise ValueError(f"{text!r} has no /p2p/PEER-ID: the splice prints its multiaddr when it starts")
    public_key_of_peer_id(peer)
    return host, port, peer


class Via:
    """A registration at a splice, kept up until `close`. Its public face may be used by any thread."""

    def __init__(
        self, splice: str, key: Path, *, kept: Path | None = None, logger: logging.Logger | None = None
    ) -> None:
        """`splice`: its multiaddr. `key`: file of the node's own key. `kept`: file for the place that the
        splice gave, None to ask each time. Raise ValueError if the multiaddr is unusable."""
        self._splice = splice
        host, port, peer = read_splice(splice)
        self._words = [host, str(port), public_key_of_peer_id(peer).hex(), str(key)]
        self._kept, self._logger = kept, logger
        self.address: tuple[str, int] | None = self._place_before()
        """(IP address, port) at which others dial this node; None while that is not known."""
        self.trouble = "the splice has not answered yet"
        """Why nobody can dial this node now, as a sentence; "" if it is registered."""
        self._local_port = 0
        self._ended = False
        self._lock = threading.Lock()
        self._known = threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._attend, name="via", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> tuple[str, int] | None:
        """The address, once the splice gave it; after `seconds` (WAIT, or FIRST_WAIT) that of an earlier
        start, or None."""
        usual = FIRST_WAIT if self.address is None else WAIT
        self._known.wait(usual if seconds is None else seconds)
        return self.address

    def serve(self, local_port: int) -> None:
        """Pipe connections to this port of 127.0.0.1 from now on."""
        with self._lock:
            self._local_port = local_port
            self._tell()

    def close(self) -> None:
        """End the registration and all connections through it."""
        with self._lock:
            self._ended = True
        self._process.kill()
        self._thread.join()

    # --- the listener ----------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[bytes]:
        wanted = 0 if self.address is None else self.address[1]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", PROGRAM, *self._words, str(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
            | {"PYTHONPATH": str(ROOT)},
        )

    def _tell(self) -> None:
        with suppress(OSError, ValueError):  # it ended, and is told again when it is started again
            self._process.stdin.write(b"%d\n" % self._local_port)  # type: ignore[union-attr] # a pipe

    def _attend(self) -> None:
        """Take the listener's reports, and start it again if it ends; runs in a thread."""
        while True:
            with self._process as process:  # it waits for the end, and closes the pipes
                for said in process.stdout or ():
                    self._take(msgspec.json.decode(said, type=SpliceReport))
            if self._ended:
                return
            self._take(SpliceReport(trouble=f"the listener's process ended ({self._process.returncode})"))
            time.sleep(AGAIN)
            with self._lock:
                if self._ended:
                    return
                self._process = self._start()
                self._tell()

    def _take(self, report: SpliceReport) -> None:
        if report.trouble:
            if report.trouble != self.trouble:
                self._log(logging.WARNING, "via_down", reason=report.trouble)
            self.trouble = report.trouble
            return
        place = (report.host, report.port)
        if place != self.address:
            if self.address is not None:
                self._log(logging.ERROR, "via_moved", reason="restart this node: it is reached elsewhere now")
            self.address = place
            self._keep(place)
        self.trouble = ""
        self._known.set()
        self._log(logging.INFO, "via", host=place[0], port=place[1])

    def _log(self, level: int, event: str, **fields: object) -> None:
        if self._logger is not None:
            self._logger.log(level, "%s", line(event, fields))

    def _place_before(self) -> tuple[str, int] | None:
        """Where this node was reached through the same splice before."""
        if self._kept is None:
            return None
        with suppress(OSError, ValueError):
            splice, place = self._kept.read_text(encoding="utf-8").split()
            if splice == self._splice:
                return parse_multiaddr(place)[:2]
        return None

    def _keep(self, place: tuple[str, int]) -> None:
        if self._kept is not None:
            text = f"{self._splice}\n{format_multiaddr(*place, '')}"
            write_private(self._kept, text.removesuffix("/p2p/").encode() + b"\n", replace=True)
