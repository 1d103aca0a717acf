"""The node's side of its own API: listens, keeps the helper process alive, sends it the node's status.

The node's loop handles no requests: the helper (dtvn.api.helper, run as validators.node_api, which brings the
ledger) reads the node's ledger itself and has operations ordered like a client. It ends with its node, also
after a kill -9, because their channel ends; if it ends first, or is silent for too long, it is started again.
"""

from __future__ import annotations

import errno
import logging
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dtvn.node.api_channel import Channel, Counted, Setup, Status, Stop
from dtvn.node.helper_process import Forked, start_helper
from dtvn.node.listening import listen_on
from dtvn.node.metrics import ApiFigures
from dtvn.node.metrics.exporter import shown_host
from dtvn.node.options import ApiOptions, StartError
from dtvn.node.request_log import RequestLog
from dtvn.node.watcher import line
from dtvn.waiting import try_until

Helper = subprocess.Popen[bytes] | Forked
PORT_PATIENCE = 2.0
"""Seconds that a start waits for its port: the helper of an earlier run ends a moment after its node."""
DRAIN_SECONDS = 3.0
"""Seconds that open requests have to finish when the node is asked to stop."""
RETRY_SECONDS = 2.0
"""Seconds between two attempts to listen on a port that another program uses."""
RESTART_FIRST, RESTART_MAX, RESTART_SERVED_MAX = 0.1, 30.0, 0.4
"""Seconds of pause before the second restart in a row; most before any, and after a helper that served."""
STEADY_AFTER = 60.0
"""Seconds of a helper's life after which the next restart is a first one."""
SILENCE = 1.0
"""Seconds without a message that count as one silence; a helper that serves sends one in that time."""
SILENCES_TOLD, SILENCES_MAX, SILENCES_FIRST = 4, 10, 60
"""Silences in a row after which the node reports trouble, and after which it kills the helper; the last one
is for a helper that has sent nothing yet, since it is still starting. Counted in this process's own time, so
that a paused node or a slow machine does not blame its helper."""
SILENT = "its API does not answer"
ASKED_TO_END = frozenset({signal.SIGINT, signal.SIGTERM})
"""Signals that end a helper without an error: one sent to all processes may reach a helper that starts."""


class RestartPause:
    """The pause before each restart: none before the first, then doubled while helpers end soon."""

    def __init__(self) -> None:
        self._next = 0.0

    def after(self, lived: float, *, served: bool) -> float:
        """Seconds to wait after a helper that lived so long. One that served is waited for by clients."""
        most = RESTART_SERVED_MAX if served else RESTART_MAX
        pause = 0.0 if lived >= STEADY_AFTER else min(self._next, most)
        self._next = max(2 * pause, RESTART_FIRST)
        return pause


class ApiHelper:
    """The API helper of a node's process, over all its epochs. The loop calls `publish` and `drained`."""

    def __init__(self, setup: Setup, logger: logging.Logger) -> None:
        """Listen; raise StartError if another program uses a port that the operator asked for."""
        self.figures = ApiFigures()
        self._setup = setup
        self._logger = logger
        self._requests = RequestLog(logger)
        self._listener: socket.socket | None = None
        self.trouble = ""
        """Why the API does not listen or answer, in one line; "" while it does."""
        self._listen(wait=PORT_PATIENCE if setup.options.needed else 0.0)
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._process: Helper | None = None
        self._served = False
        """Whether the helper has sent anything."""
        self._status: Status | None = None
        self._draining_until = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="api", daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int] | None:
        """(host, port) on which the API listens; None while it does not."""
        if self._listener is None:
            return None
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def publish(self, fields: Mapping[str, Any]) -> None:
        """Send the node's present status to the helper."""
        status = self._status = Status(dict(fields))
        with self._lock:
            if self._channel is not None:
                self._channel.send(status)

    def drained(self) -> bool:
        """Ask the helper to end; True once it has ended, or DRAIN_SECONDS have passed. The node may keep
        running meanwhile, so that the operations of open requests are still decided."""
        now = time.monotonic()
        if not self._draining_until:
            self._draining_until = now + DRAIN_SECONDS
            self._closing.set()
            with self._lock:
                self._hang_up()
                if self._channel is not None:
                    self._channel.send(Stop())
        process = self._process
        return process is None or process.poll() is not None or now > self._draining_until

    def close(self) -> None:
        """End the helper now."""
        self._closing.set()
        with self._lock:
            self._hang_up()
            if self._channel is not None:
                self._channel.close()
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
        self._thread.join(DRAIN_SECONDS)

    def _listen(self, *, wait: float) -> None:
        try:
            self._listener = _listen(self._setup.options, wait)
        except StartError as error:
            if self._setup.options.needed:
                raise
            taken = f"API port {self._setup.options.port} is in use by another program"
            trouble = taken if _is_taken(error.__cause__) else str(error)
            if trouble == self.trouble:
                return
            self.trouble = trouble
            self._logger.error("%s", line("api_off", {"reason": f"{error} Trying again."}))
            return
        self.trouble = ""
        host, port = self._listener.getsockname()[:2]
        self._logger.info("%s", line("api", {"url": f"http://{shown_host(host)}:{port}"}))

    def _hang_up(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _keep(self) -> None:
        while self._listener is None:
            if self._closing.wait(RETRY_SECONDS):
                return
            self._listen(wait=0.0)
        pause = RestartPause()
        while not self._closing.is_set():
            began, self._served = time.monotonic(), False
            try:
                code = self._run()
            except OSError as error:
                self._logger.error("%s", line("api_down", {"reason": str(error)}))
            else:
                if not self._closing.is_set():
                    level = logging.INFO if -code in ASKED_TO_END else logging.ERROR
                    self._logger.log(level, "%s", line("api_down", {"reason": f"its process ended: {code}"}))
            self._closing.wait(pause.after(time.monotonic() - began, served=self._served))

    def _run(self) -> int:
        """Start a helper and receive from it until it ends; return its exit code."""
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        with theirs, self._lock:
            if self._closing.is_set() or self._listener is None:
                channel.close()
                return 0
            process = start_helper(theirs, self._listener)
            self._process, self._channel = process, channel
            channel.send(self._setup)
            if self._status is not None:
                channel.send(self._status)
        self._listen_to(channel, process)
        self._requests.flush()
        self.figures.sockets.set(0)
        with self._lock:
            self._channel = None
            channel.close()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(DRAIN_SECONDS)
        process.kill()
        return process.wait()

    def _listen_to(self, channel: Channel, process: Helper) -> None:
        """Receive from a helper until it ends; kill one that is silent for too long, for example stopped."""
        silences = 0
        for message in channel.listen(SILENCE):
            if isinstance(message, Counted):
                self._counted(message)
                self._served, silences, self.trouble = True, 0, ""
            elif message is None and not self._closing.is_set():
                silences += 1
                if self._served and silences >= SILENCES_TOLD:
                    self.trouble = SILENT
                if silences == (SILENCES_MAX if self._served else SILENCES_FIRST):
                    self._logger.error("%s", line("api_down", {"reason": f"silent for {silences} s, killed"}))
                    process.kill()

    def _counted(self, message: Counted) -> None:
        for item in message.answered:
            self.figures.answered(item.method, item.endpoint, item.status, item.seconds)
            self.figures.faults.inc(item.unforeseen)
        self.figures.faults.inc(message.faults)
        self._requests.answered(message.answered)
        self.figures.sockets.set(message.sockets)


def _listen(options: ApiOptions, wait: float) -> socket.socket:
    try:
        return try_until(lambda: listen_on(options.host, options.port), wait, pause=0.05, again=_is_taken)
    except OSError as error:
        place, reason = f"{options.host}:{options.port}", error.strerror or str(error)
        raise StartError(
            f"Cannot serve the API on {place}: {reason}; choose another with -api-port, or 0 for none."
        ) from error


def _is_taken(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE
