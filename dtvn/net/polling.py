"""One poll over all sockets of a process, after which only sockets with an event are read.

Reading a ZeroMQ socket without a waiting frame costs an exception; with thirty members that took most of
an idle turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import zmq

from dtvn.net.dialled import DialledLink

READABLE = int(zmq.POLLIN)
WRITABLE = int(zmq.POLLOUT)
"""Plain integers: combining two members of an enumeration costs more than reading a frame."""

ATTEND_NS = 1_000_000_000
"""Every link is attended at least this often (a link that libzmq gave up causes no event)."""


class LinkPoll:
    """Polls `others` (sockets or file descriptors, for reading) and the links by index."""

    def __init__(self, others: Sequence[Any], links: Mapping[int, DialledLink]) -> None:
        self._links = links
        self._poller = zmq.Poller()
        self._shape: tuple[Any, ...] = ()
        self._registered: set[Any] = set()
        self._ready: dict[Any, int] | None = None
        self._attended = 0
        for other in others:
            self._poller.register(other, READABLE)

    def wait(self, timeout_ns: int) -> None:
        """Wait until something is ready, at most `timeout_ns` and never over ATTEND_NS."""
        self._register()
        limit = max(0, min(timeout_ns, ATTEND_NS))
        self._ready = dict(self._poller.poll(-(-limit // 1_000_000)))

    def take(self) -> dict[Any, int]:
        """The ready sockets and their events, as the last `wait` found them; polls now if it was taken."""
        if self._ready is None:
            self.wait(0)
        ready, self._ready = self._ready, None
        return ready or {}

    def frames(self, ready: Mapping[Any, int], now: int) -> Iterator[tuple[int, list[bytes]]]:
        """Read from links that are ready, in turn, and attend those whose connection changed."""
        attend_all = now - self._attended > ATTEND_NS
        if attend_all:
            self._attended = now
        for index, link in self._links.items():
            events = ready.get(link.socket, 0)
            if events & READABLE:
                yield index, link.receive()
            if events & WRITABLE or link.monitor in ready or attend_all:
                link.attend()

    def _register(self) -> None:
        """Follow the sockets that links have replaced; poll for POLLOUT only where frames wait."""
        shape = tuple(
            [(link.socket, bool(link.ready and len(link.outbound))) for link in self._links.values()]
        )
        if shape == self._shape:
            return
        wanted: dict[Any, int] = {}
        for link, (socket, waiting) in zip(self._links.values(), shape, strict=True):
            wanted[socket] = READABLE | WRITABLE if waiting else READABLE
            wanted[link.monitor] = READABLE
        for gone in self._registered - wanted.keys():
            self._poller.unregister(gone)
        for socket, events in wanted.items():
            self._poller.register(socket, events)
        self._shape, self._registered = shape, set(wanted)
