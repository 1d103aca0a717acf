"""Forks the API helpers of the nodes of one worker: memory and imports are shared (see helper_process).

It has one thread, and reads nothing from nodes but descriptors. A helper does not outlive this process: its
node then asks for another one, which the successor forks.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress

import msgspec

from dtvn.node.parents_death import signal_at_parents_death

Serve = Callable[[int, int], None]
"""Serves as a helper until its end: (descriptor of the channel, of the listener)."""


class _Helper(msgspec.Struct):
    pid: int
    ended: int
    """Descriptor of the process, readable once it has ended."""
    control: socket.socket


class Forks:
    """The running helpers, and the requests for further ones."""

    def __init__(self, requests: socket.socket, serve: Serve) -> None:
        self._requests = requests
        self._serve = serve
        self._helpers: list[_Helper] = []
        self._poll = select.poll()
        self._poll.register(requests, select.POLLIN)

    def run(self) -> None:
        """Fork helpers, and report their exit codes, until no process is left that could ask for one."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        gc.collect()
        gc.freeze()
        successor = _fork_successor()
        try:
            self._serve_requests()
        finally:
            if successor:  # it must not continue what ended in order
                os.kill(successor, signal.SIGKILL)

    def _serve_requests(self) -> None:
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            for helper in list(self._helpers):
                if helper.ended in ready:
                    self._reap(helper)
                elif helper.control.fileno() in ready:
                    os.kill(helper.pid, signal.SIGKILL)  # not reaped yet, so the id is still its own
                    self._poll.unregister(helper.control)
            if self._requests.fileno() in ready and not self._take():
                return

    def _take(self) -> bool:
        """Fork the helper that one request asks for; False once all nodes have closed their end. If it cannot
        be forked now, the node sees its control socket end, and asks again."""
        asked, descriptors, _, _ = socket.recv_fds(self._requests, 16, 3)
        if len(descriptors) == 3:
            try:
                self._fork(*descriptors)
            except OSError:
                traceback.print_exc()
                for descriptor in descriptors:
                    os.close(descriptor)
        return bool(asked)

    def _fork(self, control: int, channel: int, listener: int) -> None:
        pid = os.fork()
        if not pid:
            try:
                signal_at_parents_death(signal.SIGKILL)
                os.close(control)
                self._requests.close()
                for other in self._helpers:
                    other.control.close()
                    os.close(other.ended)
                self._serve(channel, listener)
            except BaseException:  # noqa: BLE001 - its traceback ends in the log, as that of a program
                traceback.print_exc()
            os._exit(1)
        try:
            ended = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        os.close(channel)
        os.close(listener)
        helper = _Helper(pid, ended, socket.socket(fileno=control))
        self._helpers.append(helper)
        self._poll.register(helper.ended, select.POLLIN)
        self._poll.register(helper.control, select.POLLIN)

    def _reap(self, helper: _Helper) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(helper.pid, 0)[1])
        with suppress(OSError):  # its node is gone
            helper.control.send(str(code).encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        self._helpers.remove(helper)
        self._poll.unregister(helper.ended)
        with suppress(KeyError):
            self._poll.unregister(helper.control)
        os.close(helper.ended)
        helper.control.close()


def _fork_successor() -> int:
    """Return the process id of a fork of this process, 0 if none can be made; and return in that fork once
    this process was killed. Requests wait for it in the socket, and its imports are done."""
    while True:
        try:
            ended = os.pidfd_open(os.getpid())
            successor = os.fork()
        except OSError:
            return 0
        if not successor:
            select.select([ended], [], [])
        os.close(ended)
        if successor:
            return successor
