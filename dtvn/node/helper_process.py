"""Starts the helper process of a node's API: a fork of a process that has imported what a helper uses, or a
program of its own where no such process was started.

The forking process (dtvn.node.helper_forks) is asked over an inherited socket. It gets the helper's channel
and listener, and one end of `control`, over which it sends the helper's exit code. When the node's end of
`control` is closed, by the node or by its death, it kills the helper.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = "validators.node_api"
"""The program that joins dtvn.api.helper with a ledger; started by name, since the engine imports no app."""

_requests: socket.socket | None = None
"""Socket to the forking process, inherited by the node processes; None if each helper is a program."""


def begin_forks() -> None:
    """Start the forking process, before the processes of its nodes are forked. It ends with the last of
    them."""
    global _requests
    if not hasattr(os, "pidfd_open"):
        return
    _requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        _run(theirs)


class Forked:
    """A helper that is not our child, with the methods of Popen that its node uses."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """See Popen; -9 if the forking process ended, and with it the helper."""
        if self.returncode is None and self._is_told(0):
            with suppress(OSError, ValueError):
                self.returncode = int(self._control.recv(16))
            if self.returncode is None:
                self.returncode = -signal.SIGKILL
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """See Popen."""
        if self.returncode is None:
            self._is_told(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(PROGRAM, timeout or 0.0)
        return code

    def _is_told(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1_000))

    def kill(self) -> None:
        """See Popen."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)


def start_helper(channel: socket.socket, listener: socket.socket) -> subprocess.Popen[bytes] | Forked:
    """Starts the helper that serves on `listener` and talks over `channel`; does not wait for it."""
    if _requests is not None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            handed = [theirs.fileno(), channel.fileno(), listener.fileno()]
            with suppress(OSError):  # the forking process is gone, or stopped
                socket.send_fds(_requests, [b"fork"], handed, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                return Forked(ours)
        ours.close()
    return _run(channel, listener)


def _run(*ends: socket.socket) -> subprocess.Popen[bytes]:
    descriptors: Sequence[int] = [end.fileno() for end in ends]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", PROGRAM, *map(str, descriptors)],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """This process's environment without the platform's settings: a helper needs only the ledger's tables."""
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH", "")]))
    return kept
