"""Which process of a member is heard in a Raft cluster (R44): of each member, at most one votes.

The Hello of a member names the incarnation of its ledger and random bytes of its process. Two processes
under one key are an older copy of a disk, or a copy that was started beside the original. The one with the
higher incarnation is heard; of two with the same one, the first. The link of the other is refused: its
frames are dropped, and it is told by which process, whereupon it goes on without a vote. Then its Hello says
so, and it is heard again once the process that votes is silent.
"""

from __future__ import annotations

from collections import OrderedDict

from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Peer

SILENT_AFTER = 5_000_000_000
"""Nanoseconds without a frame after which the process that votes gives way to one without a vote: five
Statuses."""
LINKS_MAX = 1_024
"""Links remembered, as many as an acceptor has; the oldest are forgotten first."""

Process = tuple[int, bytes]
"""Incarnation, 0 for a process without a vote, and random bytes."""


class Greetings:
    """Owns the newest process of each member, and the process behind each of its links. Made once in a
    process, whose random bytes are `start`."""

    def __init__(self, start: bytes) -> None:
        self.start = start
        self._newest: dict[str, Process] = {}
        self._links: OrderedDict[tuple[str, bytes], Process] = OrderedDict()
        self._heard: dict[str, int] = {}
        """Member -> monotonic time of the last frame of its newest process."""

    def hello(self, incarnation: int, newest: int) -> Hello:
        """What this process says first on each link; `incarnation` 0: it has no vote."""
        return Hello(b"", incarnation, self.start, newest)

    def take(self, peer: Peer, hello: Hello, now: int) -> list[tuple[Peer, Hello]]:
        """Notes who is behind a link. Returns the refusals to send: to this link, or to those of an older
        process of this member."""
        link, process = (peer.name, peer.route), (hello.incarnation, hello.start)
        self._links[link] = process
        self._links.move_to_end(link)
        if len(self._links) > LINKS_MAX:
            self._links.popitem(last=False)
        newest = self._newest.get(peer.name)
        if newest is None or newest[0] < hello.incarnation:
            if hello.incarnation:
                self._newest[peer.name] = process
                self._heard[peer.name] = now
            refused = [route for name, route in self._links if name == peer.name and route != peer.route]
        else:
            refused = [peer.route]
        return [
            (Peer(peer.name, peer.member, route), self._refusal(peer.name))
            for route in refused
            if self._is_older(peer.name, route)
        ]

    def _refusal(self, name: str) -> Hello:
        known, start = self._newest.get(name, (0, b""))
        return Hello(b"", start=self.start, known=known, known_start=start)

    def _is_older(self, name: str, route: bytes) -> bool:
        """Whether another process than the newest one is behind this link: one without a vote is told too, so
        that it names a higher incarnation when it has one."""
        newest = self._newest.get(name)
        return newest is not None and self._links[name, route][1] != newest[1]

    def hears(self, peer: Peer, now: int) -> bool:
        """Whether a frame from this link is taken."""
        process, newest = self._links.get((peer.name, peer.route)), self._newest.get(peer.name)
        if process is None or newest is None or process[1] == newest[1]:
            self._heard[peer.name] = now
            return True
        return not process[0] and now - self._heard.get(peer.name, now) > SILENT_AFTER

    def refuses_this(self, hello: Hello, incarnation: int) -> bool:
        """Whether another member knows a newer process under the key of this one."""
        if not hello.known:
            return False
        return hello.known > incarnation or (hello.known == incarnation and hello.known_start != self.start)
