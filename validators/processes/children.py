"""The child processes of `up`: started, monitored, restarted when they end, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dtvn.events.config import RestartPolicy
from validators.processes.health_check import Finding, HealthCheck, Verdict
from validators.processes.node_controller import STEADY_AFTER
from validators.processes.output import Output

LINE_BYTES_MAX = 256 * 1024
"""A longer line is passed on in pieces, which as JSON are no objects any more."""
RESTARTS = RestartPolicy(base_backoff=1.0, max_backoff=15.0)


class Child:
    """One child process in its own session, so that Ctrl-C reaches it only through `up`.

    Must be started from the main thread: the kernel's notice of a parent's death is tied to the
    thread that forked.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        output: Output,
        *,
        descriptors: Sequence[int] = (),
        ended: Callable[[], None] = lambda: None,
        health: HealthCheck | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._output = output
        self._descriptors = descriptors
        self._ended = ended
        self._health = health
        self._beat = beat
        self._said_silent = False
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures_in_a_row = 0
        self._start_not_before = 0.0

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._arguments, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self._descriptors,
            cwd=Path(__file__).resolve().parent.parent.parent,
        )
        self._started_at = time.monotonic()
        if self._health is not None:
            self._health.begin(self._beat(), self._started_at)
        threading.Thread(target=self._relay, args=(self._process,), daemon=True, name=self.name).start()

    def keep_alive(self) -> None:
        """Restart the child if it ended: at once after a steady run, with a delay after a short one."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            self._note_end(self._process, now)
        if self._process is None and now >= self._start_not_before:
            self._start_again(now)
        elif self._process is not None and self._health is not None:
            self._heed(self._process, self._health.look(self._beat(), now))

    def rest(self, most: float) -> float:
        """Seconds, at most so many, until `keep_alive` starts the child again or looks at its health."""
        if self._process is not None:
            return most
        return max(0.0, min(most, self._start_not_before - time.monotonic()))

    def _start_again(self, now: float) -> None:
        try:
            self.start()
        except (OSError, RuntimeError) as error:  # no memory, process or thread is left for a moment
            self.kill()  # nobody would read its output
            self._start_not_before = now + RESTARTS.max_backoff
            when = f"tried again in {RESTARTS.max_backoff:.0f} s"
            self._output.say("up", f"{self.name} cannot be started: {error}; {when}")

    def _heed(self, process: subprocess.Popen[bytes], found: Finding) -> None:
        """Report a child that is silent, and one that answers again; kill one that was silent for too long,
        at which its own children end in order."""
        if found.verdict is Verdict.LOST:
            self._output.say("up", f"{self.name} did not respond for {found.silent_for:.0f} s and was killed")
            process.kill()
        elif found.verdict is Verdict.SILENT and not self._said_silent:
            self._output.say("up", f"{self.name} runs but does not respond")
        elif found.verdict is Verdict.WELL and self._said_silent:
            self._output.say("up", f"{self.name} responds again")
        self._said_silent = found.verdict is Verdict.SILENT

    def terminate(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the child and all its descendants in its process group."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    @property
    def process_id(self) -> int | None:
        """None if it is not started, or its end was noticed."""
        return None if self._process is None else self._process.pid

    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _note_end(self, process: subprocess.Popen[bytes], now: float) -> None:
        steady = now - self._started_at >= STEADY_AFTER
        self._failures_in_a_row = 0 if steady else self._failures_in_a_row + 1
        pause = 0.0
        if self._failures_in_a_row > 1:
            pause = RESTARTS.delay(self._failures_in_a_row - 1)
        self._start_not_before = now + pause
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"code {process.returncode}"
        when = f" in {pause:.0f} s" if pause else ""
        self._output.say("up", f"{self.name} ended ({how}), restarting{when}")
        self._process = None
        self._ended()

    def _relay(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker: a pipe was requested
        with process.stdout as stream:
            while line := stream.readline(LINE_BYTES_MAX):
                if text := line.decode("utf-8", "replace").rstrip():
                    self._output.say(self.name, text)
